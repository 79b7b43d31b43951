//! Fuzz tests: any malformed token is refused with a sentence, and a caller has only the names in
//! its claims.

use std::time::Duration;

use pgrecall_access::keys::Scopes;
use pgrecall_config::Oauth;
use pgrecall_generators::mutate::{assert_sentence, cases, mutated_text};
use pgrecall_record::identity;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::{bearer, claims, tokens::Tokens};

const HEADERS: [&str; 5] = ["Bearer pgr_0123456789abcdef", "bearer a.b.c", "Basic YTpi", "Bearer", "Bearer  a  "];
// The `alg` of these tokens is not accepted, so that no test reads the issuer's keys.
const TOKENS: [&str; 3] = [
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEifQ.",
    "a.b.c",
];

pub(super) fn oauth() -> Oauth {
    Oauth {
        issuer: "http://127.0.0.1:9".to_owned(),
        audience: "pgrecall".to_owned(),
        jwks_url: Some("http://127.0.0.1:9/keys".to_owned()),
        tenant_claim: Some("tenant".to_owned()),
        user_claim: "sub".to_owned(),
        persona_claim: Some("persona".to_owned()),
        scope_claim: "scope".to_owned(),
        scope_prefix: "pgrecall:".to_owned(),
        max_lifetime: Duration::from_secs(86_400),
    }
}

fn any_claim() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        select(vec!["ana", "", " ", "a\nb", "pgrecall:read", "pgrecall:write pgrecall:admin x", "pgrecall:"])
            .prop_map(Value::from),
        "\\PC{0,300}".prop_map(Value::from),
        Just(json!(["pgrecall:read", 5, null])),
        Just(json!({"a": 1})),
    ]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn what_stands_after_bearer_is_one_word(header in mutated_text(&HEADERS)) {
        if let Some(token) = bearer(&header) {
            prop_assert!(!token.is_empty() && !token.contains(' ') && header.contains(token));
        }
    }

    #[test]
    fn any_claims_name_a_caller_or_are_refused_with_a_sentence(claims in vec((select(vec!["sub", "tenant", "persona", "scope"]), any_claim()), 0..6)) {
        let claims: Map<String, Value> = claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        match claims::caller(&claims, &oauth()) {
            Ok(caller) => {
                prop_assert!(caller.scopes != Scopes::default());
                let subject = claims["sub"].as_str().unwrap_or_default();
                prop_assert_eq!(caller.scope.owner, identity::token_owner(&oauth().issuer, subject));
                for name in [Some(&caller.scope.tenant), caller.scope.persona.as_ref()].into_iter().flatten() {
                    prop_assert!(!name.trim().is_empty() && name.len() <= 200 && !name.contains(char::is_control));
                }
            }
            Err(refused) => assert_sentence(&refused.sentence),
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_token_is_refused_with_a_sentence(token in mutated_text(&TOKENS)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let Err(refused) = runtime.block_on(Tokens::new(&oauth(), 1).bearer(&token)) else { panic!("{token} was taken") };
        assert_sentence(&refused.sentence);
    }
}
