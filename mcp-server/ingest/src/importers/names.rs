//! Names for what has none: the same thing gets the same name each time that it is imported.

use pgrecall_record::{
    hash,
    source::{MAX_FIELD_BYTES, Past},
};
use uuid::Builder;

/// A key made of what makes a thing this one.
pub(super) fn key(what: &str, parts: &[&str]) -> String {
    format!("{what}:{}", hash::hex(&digest(what, parts)))
}

/// A name of no more bytes than a field may have.
pub(super) fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_FIELD_BYTES)]
}

/// The beginning of a text, for a message.
pub(super) fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}

/// An id as a key: itself, or a hash of one that is longer than a key may be.
pub(super) fn id_of(id: &str) -> String {
    // A key's own limit, less what is added to the id for the parts of a long text.
    if id.len() > MAX_FIELD_BYTES / 2 { key("id", &[id]) } else { id.to_owned() }
}

/// The past of something that was written at a time, elsewhere.
pub(super) fn past(what: &str, key: &str, at: Option<jiff::Timestamp>) -> Past {
    let id = Builder::from_custom_bytes(digest(what, &[key])).into_uuid();
    Past { created_at: at, ..Past::of(id) }
}

/// The URN of a thing that has no name but its own.
pub(super) fn urn(entity: &str) -> String {
    format!("urn:entity:{}", entity.split_whitespace().collect::<Vec<_>>().join("_"))
}

/// Half a hash of several texts.
fn digest(what: &str, parts: &[&str]) -> [u8; 16] {
    let all: Vec<&[u8]> = [what].iter().chain(parts).map(|part| part.as_bytes()).collect();
    let mut half = [0; 16];
    half.copy_from_slice(&hash::of_parts(&all)[..16]);
    half
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
