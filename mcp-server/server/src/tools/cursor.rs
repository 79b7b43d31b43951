//! Cursors: the position of the next page, as an opaque text.
//!
//! A cursor gives its holder nothing that a call without one would not. There are two kinds. The
//! number of results before the page ([`made`]) is no secret, and carries a mark of its call. The
//! number of a record's row ([`seal`]) would let a caller count the records of all tenants, so it
//! is encrypted. A cursor that was invented, cut, or taken from another call is refused with a
//! sentence.

use pgrecall_postgres::db::Scope;
use pgrecall_record::hash::hex;
use ring::{aead, digest, hmac};
use shared::engine::Engine;

use super::ToolError;

/// Makes the cursor to a place in the results of a call. `call` describes the call.
pub(crate) fn made(call: &str, place: i64) -> String {
    let place = place.cast_unsigned();
    format!("{:032x}", u128::from(mark(call, place)) << 64 | u128::from(place))
}

/// Returns the place of a cursor of this call.
pub(crate) fn read(call: &str, cursor: &str) -> Result<i64, ToolError> {
    let place = u128::from_str_radix(cursor.trim(), 16).ok().and_then(|bits| {
        let (held, place) = ((bits >> 64) as u64, bits as u64);
        (held == mark(call, place)).then_some(place.cast_signed())
    });
    place.ok_or_else(unfit)
}

/// Makes an encrypted cursor to a place in the results of this caller's call.
///
/// The key is derived from the installation's secret, so each of its servers can read the cursor,
/// and nobody else can.
pub fn seal(engine: &Engine, scope: &Scope, call: &str, place: i64) -> String {
    Seal::of(engine.secret(), scope, call).seal(place)
}

/// Returns the place of an encrypted cursor of this caller's call.
pub fn open(engine: &Engine, scope: &Scope, call: &str, cursor: &str) -> Result<i64, ToolError> {
    Seal::of(engine.secret(), scope, call).open(cursor).ok_or_else(unfit)
}

fn unfit() -> ToolError {
    let sentence = "`cursor` does not belong to this call: pass the cursor of the last answer with the same arguments, or none to begin again";
    ToolError::caller(sentence)
}

/// Computes the mark of a call and a place. Another pair has the same mark with probability 2^-64.
fn mark(call: &str, place: u64) -> u64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&place.to_be_bytes());
    hash.update(call.as_bytes());
    let hash = hash.finish();
    u64::from_be_bytes(*hash.as_ref().first_chunk().expect("a hash has 32 bytes"))
}

/// The key of the cursors of one caller's call.
struct Seal {
    secret: hmac::Key,
    key: aead::LessSafeKey,
    /// The caller and the call that the cursor is bound to.
    bound: Vec<u8>,
}

impl Seal {
    fn of(secret: &[u8], scope: &Scope, call: &str) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let key = hmac::sign(&secret, b"pgrecall cursor key");
        let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key.as_ref()).expect("an HMAC has 32 bytes");
        let mut bound = Vec::new();
        for part in [scope.tenant.as_str(), &scope.owner, scope.persona.as_deref().unwrap_or_default(), call] {
            bound.extend((part.len() as u64).to_be_bytes());
            bound.extend(part.as_bytes());
        }
        Self { secret, key: aead::LessSafeKey::new(key), bound }
    }

    fn seal(&self, place: i64) -> String {
        // The nonce is derived from the content, so it repeats only for the same content.
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(b"pgrecall cursor nonce");
        context.update(&place.to_be_bytes());
        context.update(&self.bound);
        let nonce: [u8; aead::NONCE_LEN] = *context.sign().as_ref().first_chunk().expect("an HMAC has 32 bytes");
        let mut text = place.to_be_bytes().to_vec();
        let sealed =
            self.key.seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), self.bound(), &mut text);
        sealed.expect("so short a text can be encrypted");
        hex(&[&nonce[..], &text].concat())
    }

    fn open(&self, cursor: &str) -> Option<i64> {
        let digits = cursor.trim().as_bytes();
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?;
        let (nonce, sealed) = bytes.split_first_chunk::<{ aead::NONCE_LEN }>()?;
        let mut sealed = sealed.to_vec();
        let opened =
            self.key.open_in_place(aead::Nonce::assume_unique_for_key(*nonce), self.bound(), &mut sealed).ok()?;
        Some(i64::from_be_bytes(opened.try_into().ok()?))
    }

    fn bound(&self) -> aead::Aad<&[u8]> {
        aead::Aad::from(self.bound.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(tenant: &str, owner: &str) -> Scope {
        Scope { tenant: tenant.to_owned(), owner: owner.to_owned(), persona: None }
    }

    #[test]
    fn a_cursor_leads_where_it_was_made_for_and_nowhere_else() {
        let cursor = made("list", 42);
        assert_eq!(read("list", &cursor).unwrap(), 42);
        for (call, cursor) in [("other", cursor.clone()), ("list", cursor[1..].to_owned()), ("list", String::new())] {
            assert!(read(call, &cursor).unwrap_err().to_string().contains("does not belong to this call"), "{cursor}");
        }
    }

    // A cursor of row numbers must not reveal them.
    #[test]
    fn a_sealed_cursor_tells_no_number_and_opens_for_its_caller_and_call_only() {
        let secret = [7; 32];
        let seal = Seal::of(&secret, &scope("acme", "ana"), "list");
        let cursors: Vec<String> = (41..44).map(|place| seal.seal(place)).collect();
        for (place, cursor) in (41..44).zip(&cursors) {
            assert_eq!(seal.open(cursor), Some(place));
            assert!(!cursor.contains(&format!("{place:016x}")), "{cursor} shows {place}");
        }
        let cursor = &cursors[0];
        for other in [
            Seal::of(&secret, &scope("acme", "bob"), "list"),
            Seal::of(&secret, &scope("rival", "ana"), "list"),
            Seal::of(&secret, &scope("acme", "ana"), "other list"),
            // The parts of the bound data must be unambiguous.
            Seal::of(&secret, &scope("acm", "eana"), "list"),
            Seal::of(&[8; 32], &scope("acme", "ana"), "list"),
        ] {
            assert_eq!(other.open(cursor), None);
        }
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(seal.open(std::str::from_utf8(&changed).unwrap()), None);
        }
        for odd in ["", "0", "zz", &cursor[2..], &made("list", 42), "ä", &"0".repeat(100_000)] {
            assert_eq!(seal.open(odd), None);
        }
    }
}
