//! Authorization of operations on records of other owners.
//!
//! Every caller who can see a shared record may correct, archive and forget it, because each of
//! these can be undone. Two operations are restricted: superseding a record by one that its readers
//! cannot see, and permanent deletion (decision 27).

use crate::source::Visibility;

/// The owner and the readers of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The owner.
    pub owner: String,
    /// The readers besides the owner.
    pub visibility: Visibility,
    /// The persona that the record is shared with, if any.
    pub persona: Option<String>,
}

impl Holding {
    /// Returns whether every reader of `other` can also see this record.
    fn covers(&self, other: &Self) -> bool {
        match (self.visibility, other.visibility) {
            // Nobody but its owner can see a private record, so no other caller can name it here.
            (_, Visibility::Private) => false,
            (Visibility::Tenant, _) => true,
            (Visibility::Persona, Visibility::Persona) => self.persona.is_some() && self.persona == other.persona,
            (Visibility::Persona | Visibility::Private, _) => false,
        }
    }
}

/// Returns whether `caller` may replace the record `old` by `new`. Recall leaves out a superseded
/// record, so the record of another owner needs a successor that all of its readers can see.
pub fn may_supersede(caller: &str, new: &Holding, old: &Holding) -> bool {
    caller == old.owner || new.covers(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(owner: &str, visibility: Visibility, persona: Option<&str>) -> Holding {
        Holding { owner: owner.into(), visibility, persona: persona.map(str::to_owned) }
    }

    #[test]
    fn another_owners_record_is_superseded_only_by_one_that_its_readers_see() {
        use Visibility::{Persona, Private, Tenant};
        let all = [(Private, None), (Persona, Some("analyst")), (Persona, Some("clerk")), (Tenant, None)];
        let may = |new: usize, old: usize, owner: &str| {
            may_supersede(owner, &holding(owner, all[new].0, all[new].1), &holding("ana", all[old].0, all[old].1))
        };
        let allowed: Vec<(usize, usize)> = (0..4)
            .flat_map(|new| (0..4).map(move |old| (new, old)))
            .filter(|(new, old)| may(*new, *old, "bob"))
            .collect();
        assert_eq!(allowed, [(1, 1), (2, 2), (3, 1), (3, 2), (3, 3)]);
        assert!((0..4).all(|new| (0..4).all(|old| may(new, old, "ana"))), "an owner decides about her own");
    }
}
