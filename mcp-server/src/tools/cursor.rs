//! Cursors: where the next page begins, as a text that means nothing to anybody else.
//!
//! A cursor gives its holder nothing that a call without one would not. It carries a mark of the call that it belongs to, so that one that was
//! made up, cut, or taken from another question is refused with a sentence and not followed to a wrong place.

use ring::digest;

use super::ToolError;

/// The cursor to a place in the answers of a call, which `call` describes.
pub(crate) fn made(call: &str, place: i64) -> String {
    let place = place.cast_unsigned();
    format!("{:032x}", u128::from(mark(call, place)) << 64 | u128::from(place))
}

/// The place that a cursor of this call leads to.
pub(crate) fn read(call: &str, cursor: &str) -> Result<i64, ToolError> {
    let place = u128::from_str_radix(cursor.trim(), 16).ok().and_then(|bits| {
        let (held, place) = ((bits >> 64) as u64, bits as u64);
        (held == mark(call, place)).then_some(place.cast_signed())
    });
    place.ok_or_else(|| {
        let sentence = "`cursor` is none of this call's: pass the cursor of the last answer with the same arguments, or none to begin anew";
        ToolError::Caller(sentence.to_owned())
    })
}

/// Fits no other call or place but by a chance of 2^-64.
fn mark(call: &str, place: u64) -> u64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&place.to_be_bytes());
    hash.update(call.as_bytes());
    let (mark, _) = hash
        .finish()
        .as_ref()
        .split_first_chunk()
        .map(|(mark, rest)| (*mark, rest.len()))
        .expect("a hash has 32 bytes");
    u64::from_be_bytes(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_where_it_was_made_for_and_nowhere_else() {
        let cursor = made("list", 42);
        assert_eq!(read("list", &cursor).unwrap(), 42);
        for (call, cursor) in [("other", cursor.clone()), ("list", cursor[1..].to_owned()), ("list", String::new())] {
            assert!(read(call, &cursor).unwrap_err().to_string().contains("none of this call's"), "{cursor}");
        }
    }
}
