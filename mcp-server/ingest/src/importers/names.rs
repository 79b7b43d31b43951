//! Stable names for items that have none: each import gives an item the same name.

use pgrecall_record::{
    hash,
    source::{MAX_FIELD_BYTES, Past},
};
use uuid::Builder;

/// Makes a key from the parts that identify an item.
pub(super) fn key(what: &str, parts: &[&str]) -> String {
    format!("{what}:{}", hash::hex(&digest(what, parts)))
}

/// Cuts a name to the size of a field.
pub(super) fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_FIELD_BYTES)]
}

/// Returns the beginning of a text, for a message.
pub(super) fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}

/// Returns an id as a key, or its hash if the id is longer than a key may be.
pub(super) fn id_of(id: &str) -> String {
    // Half of a key's limit leaves room for the suffix that numbers the parts of a long text.
    if id.len() > MAX_FIELD_BYTES / 2 { key("id", &[id]) } else { id.to_owned() }
}

/// Makes the past of an item that another program wrote at this time.
pub(super) fn past(what: &str, key: &str, at: Option<jiff::Timestamp>) -> Past {
    let id = Builder::from_custom_bytes(digest(what, &[key])).into_uuid();
    Past { created_at: at, ..Past::of(id) }
}

/// Makes the URN of an entity from its name.
pub(super) fn urn(entity: &str) -> String {
    format!("urn:entity:{}", entity.split_whitespace().collect::<Vec<_>>().join("_"))
}

/// Returns half of a hash of these texts.
fn digest(what: &str, parts: &[&str]) -> [u8; 16] {
    let all: Vec<&[u8]> = [what].iter().chain(parts).map(|part| part.as_bytes()).collect();
    *hash::of_parts(&all).first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_from_what_is_named() {
        assert_eq!(key("entity", &["a", "b"]), key("entity", &["a", "b"]));
        assert_ne!(key("entity", &["ab", "c"]), key("entity", &["a", "bc"]));
        assert_ne!(past("a", "k", None).id, past("b", "k", None).id);
        assert_eq!(urn(" Net  revenue "), "urn:entity:Net_revenue");
    }
}
