//! Checks the claims of a token: that it is an access token, that it is meant for this server,
//! valid now and for no longer than allowed, and which caller it names.
//!
//! The signature was verified before. The claims are checked by hand, because the library accepts
//! an issuer that is a list, and checks neither a maximum lifetime nor a time of issue in the
//! future (decision 28).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::Header;
use pgrecall_access::keys::Scopes;
use pgrecall_config::Oauth;
use pgrecall_postgres::db::Scope;
use pgrecall_record::identity::{self, NameError};
use serde_json::{Map, Value};

use super::{Reason, Refused, invalid};
use crate::caller::Caller;

/// The tolerated difference between the clocks of two machines, in seconds.
const LEEWAY_SECONDS: f64 = 30.0;
/// The types of an access token (RFC 9068), and of a token whose issuer sets no specific type.
/// Tokens of other types, such as `logout+jwt`, are signed by the same keys but give no access.
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// Checks that a token is an access token.
pub(super) fn check_type(header: &Header) -> Result<(), Refused> {
    let Some(kind) = &header.typ else { return Ok(()) };
    let kind = kind.to_ascii_lowercase();
    if TYPES.contains(&kind.strip_prefix("application/").unwrap_or(&kind)) {
        return Ok(());
    }
    Err(invalid("the token is no access token: its type (`typ`) must be at+jwt or JWT"))
}

/// Checks the issuer, the audience and the times of a token. Returns for how much longer it is
/// valid.
pub(super) fn check(claims: &Map<String, Value>, oauth: &Oauth) -> Result<Duration, Refused> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    check_at(claims, oauth, now)
}

fn check_at(claims: &Map<String, Value>, oauth: &Oauth, now: f64) -> Result<Duration, Refused> {
    if claims.get("iss").and_then(Value::as_str) != Some(oauth.issuer.as_str()) {
        return Err(invalid("the token has another issuer"));
    }
    let for_us = |audience: &Value| audience.as_str() == Some(oauth.audience.as_str());
    let meant_for_us = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.iter().all(Value::is_string) && audiences.iter().any(for_us),
        Some(audience) => for_us(audience),
        None => false,
    };
    if !meant_for_us {
        return Err(invalid("the token is meant for another server"));
    }
    let ends = time(claims, "exp")?.ok_or_else(|| invalid("the token has no expiry (`exp`)"))?;
    if ends + LEEWAY_SECONDS <= now {
        return Err(invalid("the token has expired"));
    }
    let issued = time(claims, "iat")?;
    if issued.is_some_and(|issued| issued > now + LEEWAY_SECONDS) {
        return Err(invalid("the token was issued in the future (`iat`)"));
    }
    if time(claims, "nbf")?.is_some_and(|begins| begins > now + LEEWAY_SECONDS) {
        return Err(invalid("the token is not valid yet (`nbf`)"));
    }
    // A token without a time of issue may have been issued just now.
    if ends - issued.unwrap_or(now) > oauth.max_lifetime.as_secs_f64() + LEEWAY_SECONDS {
        return Err(invalid(
            "the token's lifetime exceeds `server.oauth.max_lifetime`: request one that expires sooner",
        ));
    }
    Ok(Duration::try_from_secs_f64(ends + LEEWAY_SECONDS - now).unwrap_or_default())
}

/// Returns a time, in seconds since 1970. `None`: the claim is missing.
fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<f64>, Refused> {
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(time) => match time.as_f64() {
            Some(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(Some(seconds)),
            _ => Err(invalid(format!("the token's claim `{claim}` is not a time"))),
        },
    }
}

/// Returns the caller that a token's claims name.
pub(super) fn caller(claims: &Map<String, Value>, oauth: &Oauth) -> Result<Caller, Refused> {
    // Even if another claim names the user, a `sub` must be a valid name.
    if claims.contains_key("sub") {
        name(claims, "sub")?;
    }
    let user = name(claims, &oauth.user_claim)?;
    let tenant = match &oauth.tenant_claim {
        Some(claim) => name(claims, claim)?,
        None => "default".to_owned(),
    };
    let persona = match &oauth.persona_claim {
        Some(claim) if claims.contains_key(claim) => Some(name(claims, claim)?),
        _ => None,
    };
    let granted: Vec<&str> = match claims.get(&oauth.scope_claim) {
        Some(Value::String(names)) => names.split(' ').collect(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let ours = granted.iter().filter_map(|name| name.strip_prefix(oauth.scope_prefix.as_str()));
    let scopes = Scopes::named(ours);
    if scopes == Scopes::default() {
        let [read, write, admin] = Scopes::NAMES.map(|name| format!("{}{name}", oauth.scope_prefix));
        return Err(forbidden(format!("the token grants none of the scopes {read}, {write} and {admin}")));
    }
    let owner = identity::token_owner(&oauth.issuer, &user);
    Ok(Caller { scope: Scope { tenant, owner, persona }, scopes, name: format!("user {user}").into() })
}

/// Returns a claim that must be a valid name.
fn name(claims: &Map<String, Value>, claim: &str) -> Result<String, Refused> {
    let refused =
        |error: NameError| forbidden(format!("the token's claim `{claim}` cannot be used as a name: {error}"));
    let Some(name) = claims.get(claim).and_then(Value::as_str) else {
        return Err(forbidden(format!("the token's claim `{claim}` is missing or not a string")));
    };
    identity::check(name).map_err(refused)?;
    Ok(name.to_owned())
}

fn forbidden(sentence: impl Into<String>) -> Refused {
    Refused::new(Reason::Forbidden, sentence)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: f64 = 1_800_000_000.0;

    fn oauth() -> Oauth {
        Oauth {
            issuer: "https://login.example".to_owned(),
            audience: "https://recall.example/mcp".to_owned(),
            jwks_url: None,
            tenant_claim: None,
            user_claim: "sub".to_owned(),
            persona_claim: None,
            scope_claim: "scope".to_owned(),
            scope_prefix: String::new(),
            max_lifetime: Duration::from_secs(3_600),
        }
    }

    fn claims(extra: Value) -> Map<String, Value> {
        let mut claims = json!({
            "iss": "https://login.example", "aud": "https://recall.example/mcp", "sub": "ada", "scope": "read",
            "iat": NOW, "exp": NOW + 600.0,
        });
        extra.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
        claims.as_object().unwrap().clone()
    }

    #[test]
    fn a_token_is_taken_for_as_long_as_it_lives_and_not_before_or_for_longer() {
        let check = |extra: Value| check_at(&claims(extra), &oauth(), NOW).map_err(|refused| refused.sentence);
        assert_eq!(check(json!({})), Ok(Duration::from_secs(630)));
        for (wrong, sentence) in [
            (json!({"iat": NOW + 31.0}), "in the future"),
            (json!({"nbf": NOW + 31.0}), "not valid yet"),
            (json!({"exp": NOW - 31.0}), "expired"),
            (json!({"exp": NOW + 3_700.0}), "max_lifetime"),
            (json!({"exp": NOW + 3_700.0, "iat": null}), "max_lifetime"),
            (json!({"exp": null}), "no expiry"),
            (json!({"exp": "soon"}), "is not a time"),
            (json!({"exp": -1}), "is not a time"),
            (json!({"iat": [NOW]}), "is not a time"),
            (json!({"iss": ["https://login.example"]}), "another issuer"),
            (json!({"iss": "https://login.example/"}), "another issuer"),
            (json!({"aud": ["https://recall.example/mcp", 7]}), "another server"),
            (json!({"aud": []}), "another server"),
            (json!({"aud": {"https://recall.example/mcp": true}}), "another server"),
        ] {
            let refused = check(wrong.clone()).expect_err(&wrong.to_string());
            assert!(refused.contains(sentence), "{wrong}: {refused}");
        }
        for good in [
            json!({"iat": NOW + 29.0, "nbf": NOW + 29.0}),
            json!({"exp": NOW - 29.0, "iat": NOW - 100.0}),
            json!({"exp": NOW + 3_600.0}),
            json!({"aud": ["https://other.example", "https://recall.example/mcp"]}),
        ] {
            assert!(check(good.clone()).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_token_of_another_kind_gives_no_access() {
        let header = |kind: Option<&str>| Header { typ: kind.map(str::to_owned), ..Header::default() };
        for good in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+JWT")] {
            assert!(check_type(&header(good)).is_ok(), "{good:?}");
        }
        for wrong in ["logout+jwt", "secevent+jwt", "dpop+jwt", "id+jwt", "", "application/", "at+jwt2"] {
            assert!(check_type(&header(Some(wrong))).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_subject_is_a_name_within_its_issuer() {
        let owner = |extra: Value, user_claim: &str| {
            let oauth = Oauth { user_claim: user_claim.to_owned(), ..oauth() };
            caller(&claims(extra), &oauth).map(|caller| caller.scope.owner).map_err(|refused| refused.sentence)
        };
        let local = owner(json!({"sub": "local"}), "sub").unwrap();
        assert!(local.starts_with("oauth:") && local.ends_with(":local"), "{local}");
        for wrong in
            [json!({"sub": ""}), json!({"sub": " ada"}), json!({"sub": "a\nda"}), json!({"sub": "x".repeat(201)})]
        {
            assert!(owner(wrong.clone(), "sub").is_err(), "{wrong}");
            assert!(owner(wrong.clone(), "scope").is_err(), "{wrong}, whatever claim names the user");
        }
    }
}
