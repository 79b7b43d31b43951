//! Rights: what one caller may do to a record that belongs to somebody else.
//!
//! Everyone who sees a shared record may correct, archive and forget it, since each of these can be undone. Two operations are restricted:
//! superseding a record by one that its readers do not see, and deleting it beyond undo.

use crate::source::Visibility;

/// Who owns a record, and who sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its owner.
    pub owner: String,
    /// Who sees it besides its owner.
    pub visibility: Visibility,
    /// The persona that it is shared with, if it is.
    pub persona: Option<String>,
}

impl Holding {
    /// Whether everyone who sees `other` sees this record, too.
    fn covers(&self, other: &Self) -> bool {
        match (self.visibility, other.visibility) {
            // Another owner's private record cannot be seen, and so cannot be named.
            (_, Visibility::Private) => false,
            (Visibility::Tenant, _) => true,
            (Visibility::Persona, Visibility::Persona) => self.persona.is_some() && self.persona == other.persona,
            (Visibility::Persona | Visibility::Private, _) => false,
        }
    }
}

/// Whether a caller may put one record in the place of another. A superseded record is no longer recalled, so a record of somebody else
/// takes a successor that all of its readers can see.
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
