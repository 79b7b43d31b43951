//! Names of tenants, owners and personas from outside: the command line, the environment and token
//! claims.
//!
//! An owner that comes from a token is qualified by the token's issuer and begins with a reserved
//! prefix. So no issuer can choose a subject that names the local user or the owner of an API key
//! (decision 28).

use crate::hash;
use crate::visible::is_invisible;

/// Maximum bytes of a name.
pub const MAX_NAME_BYTES: usize = 200;
/// The prefix of owners that come from tokens. No other owner can have it.
pub const TOKEN_OWNER_PREFIX: &str = "oauth:";
/// The number of hexadecimal digits of the issuer's hash in an owner's name.
const ISSUER_DIGITS: usize = 16;

/// The caller for whom a transaction runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The tenant. The caller can see no rows of other tenants.
    pub tenant: String,
    /// The caller, who owns the records that it writes.
    pub owner: String,
    /// The persona that the caller works as, if any.
    pub persona: Option<String>,
}

/// The reason why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty.
    #[error("it is empty")]
    Empty,
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("it is longer than {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// The name begins or ends with white space: two owners would have names that look the same.
    #[error("it begins or ends with a space")]
    Padded,
    /// The name contains control characters or invisible characters.
    #[error("it holds a control character or an invisible one")]
    Invisible,
    /// The name begins with the prefix reserved for tokens.
    #[error("names that begin with `{TOKEN_OWNER_PREFIX}` are reserved for the callers of an authorization server")]
    Reserved,
}

/// Checks the name of a tenant, a persona or a key.
pub fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong);
    }
    if name.contains(|letter: char| letter.is_control() || is_invisible(letter)) {
        return Err(NameError::Invisible);
    }
    if name.trim().len() < name.len() {
        return Err(NameError::Padded);
    }
    Ok(())
}

/// Checks the name of an owner that does not come from a token.
pub fn check_owner(name: &str) -> Result<(), NameError> {
    check(name)?;
    let begins_reserved =
        name.get(..TOKEN_OWNER_PREFIX.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(TOKEN_OWNER_PREFIX));
    if begins_reserved { Err(NameError::Reserved) } else { Ok(()) }
}

/// Returns the owner of the records that a token's subject writes. The issuer is hashed because its
/// address contains the separator `:`.
pub fn token_owner(issuer: &str, subject: &str) -> String {
    let issuer = hash::hex(&hash::of_parts(&[issuer.as_bytes()]));
    format!("{TOKEN_OWNER_PREFIX}{}:{subject}", &issuer[..ISSUER_DIGITS])
}

/// Returns the subject of an owner that comes from a token; `None` for other owners.
pub fn token_subject(owner: &str) -> Option<&str> {
    Some(owner.strip_prefix(TOKEN_OWNER_PREFIX)?.split_once(':')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_told_apart_or_that_break_a_line_are_refused() {
        for (name, error) in [
            ("", NameError::Empty),
            (" ada", NameError::Padded),
            ("ada\u{a0}", NameError::Padded),
            ("a\u{0}da", NameError::Invisible),
            ("ada\n", NameError::Invisible),
            ("a\u{200b}da", NameError::Invisible),
            ("\u{202e}ada", NameError::Invisible),
            ("ada\u{3164}", NameError::Invisible),
            ("ada\u{fe0f}", NameError::Invisible),
        ] {
            assert_eq!(check(name), Err(error), "{name:?}");
        }
        assert_eq!(check(&"x".repeat(201)), Err(NameError::TooLong));
        for name in ["ada", "Ada Lovelace", "ada@example.com", "'; DROP TABLE sources; --", "エイダ", "auth0|1234"] {
            assert_eq!(check_owner(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn no_subject_of_an_issuer_is_an_owner_that_a_key_or_the_local_user_can_have() {
        let owner = token_owner("https://login.example.com", "local");
        assert!(owner.starts_with("oauth:") && owner.ends_with(":local") && owner != "local", "{owner}");
        assert_ne!(owner, token_owner("https://login.example.com/", "local"));
        assert_eq!(check_owner(&owner), Err(NameError::Reserved));
        assert_eq!(check_owner("OAuth:x"), Err(NameError::Reserved));
        assert_eq!(check_owner("oauth"), Ok(()));
    }
}
