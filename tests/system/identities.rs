//! The identity that a key or token gives its caller, how long it is valid, and how a key is
//! rotated.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pgrecall_harness::home::Home;
use pgrecall_harness::http::{JSON, Served};
use pgrecall_harness::issuer::{Issuer, SigningKey};
use pgrecall_harness::wait;
use serde_json::{Value, json};

const PING: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#;

fn status(served: &Served, bearer: &str) -> u16 {
    served.post(&[JSON[0], JSON[1], ("Authorization", &format!("Bearer {bearer}"))], PING).status
}

/// Returns a configuration that accepts an issuer's tokens, for the tenant of the local caller.
fn taking(issuer: &Issuer) -> String {
    format!(
        "server:\n  public_url: https://recall.example\n  allowed_hosts: [localhost]\n  oauth: {{ issuer: \"{}\" }}\n",
        issuer.url()
    )
}

/// Returns the claims of a valid token, with `extra` in addition; times in `extra` are in seconds
/// from now.
fn claims(issuer: &Issuer, extra: Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs();
    let mut claims = json!({
        "iss": issuer.url(), "aud": "https://recall.example/mcp", "sub": "ada", "scope": "read write",
        "iat": now, "exp": now + 600,
    });
    for (name, value) in extra.as_object().expect("an object") {
        let at = |seconds: i64| json!(now.saturating_add_signed(seconds));
        claims[name] =
            if ["iat", "exp", "nbf"].contains(&name.as_str()) { value.as_i64().map(at).into() } else { value.clone() };
    }
    claims
}

#[test]
fn a_subject_of_an_issuer_is_neither_the_local_user_nor_a_keys_owner() {
    let key = SigningKey::new("first");
    let issuer = Issuer::start(&[&key]);
    let home = Home::with(&taking(&issuer));
    assert_eq!(home.run(&["remember", "The local user's vault opens with sesame."]).code, 0);
    let mut served = Served::ready(&home);
    served.key = Some(home.bearer(&["ada"]));
    served.ask("memory_remember", json!({"content": "The vault of the key's owner opens with sesame."}));
    let recalled = |served: &Served| served.ask("memory_recall", json!({"query": "vault sesame"}))["count"].clone();
    assert_eq!(recalled(&served), 1);
    for subject in ["local", "ada"] {
        served.key = Some(format!("Bearer {}", key.sign(&claims(&issuer, json!({"sub": subject})))));
        assert_eq!(recalled(&served), 0, "{subject}");
        served.ask(
            "memory_remember",
            json!({"content": format!("The vault of {subject} at the issuer opens with sesame.")}),
        );
        assert_eq!(recalled(&served), 1, "{subject}: its own");
    }
    // The reverse: `keys create` cannot name a token's owner, and names the local user only if told
    // to.
    let refused = |arguments: &[&str]| {
        let said = home.run(&[&["keys", "create"], arguments].concat());
        assert_eq!(said.code, 2, "{arguments:?}");
        said.stderr
    };
    assert!(refused(&["k", "--user", "oauth:0123456789abcdef:ada"]).contains("reserved"));
    assert!(refused(&["local"]).contains("--user local"));
    for wrong in [&["k", "--persona", ""][..], &["k", "--tenant", " acme"], &["a\u{200b}"]] {
        refused(wrong);
    }
    served.key = Some(home.bearer(&["mine", "--user", "local"]));
    assert_eq!(recalled(&served), 1);
}

#[test]
fn a_token_of_another_kind_or_of_another_time_opens_nothing() {
    let key = SigningKey::new("first");
    let issuer = Issuer::start(&[&key]);
    let home = Home::with(&taking(&issuer));
    let served = Served::ready(&home);
    let as_type =
        |kind: Value| key.sign_as(&json!({"alg": "ES256", "typ": kind, "kid": "first"}), &claims(&issuer, json!({})));
    for good in [json!("JWT"), json!("at+jwt"), json!("application/at+jwt"), json!("AT+JWT")] {
        assert_eq!(status(&served, &as_type(good.clone())), 200, "{good}");
    }
    for wrong in [json!("logout+jwt"), json!("secevent+jwt"), json!(""), json!(7), json!(["JWT"])] {
        assert_eq!(status(&served, &as_type(wrong.clone())), 401, "{wrong}");
    }
    for wrong in [
        json!({"iat": 3_600, "exp": 7_200}),
        json!({"exp": 50 * 365 * 86_400_i64}),
        json!({"iss": [issuer.url()]}),
        json!({"aud": ["https://recall.example/mcp", 7]}),
    ] {
        assert_eq!(status(&served, &key.sign(&claims(&issuer, wrong.clone()))), 401, "{wrong}");
    }
    for wrong in
        [json!({"sub": ""}), json!({"sub": " ada"}), json!({"sub": "a\u{202e}da"}), json!({"sub": "x".repeat(201)})]
    {
        assert_eq!(status(&served, &key.sign(&claims(&issuer, wrong.clone()))), 403, "{wrong}");
    }
    assert_eq!(status(&served, &key.sign(&claims(&issuer, json!({"exp": 86_400})))), 200, "a day is allowed");
}

#[test]
fn the_keys_of_an_issuer_come_from_no_other_server() {
    let (ours, theirs) = (SigningKey::new("first"), SigningKey::new("first"));
    let stranger = Issuer::start(&[&theirs]);
    for redirects in [false, true] {
        let issuer = Issuer::start(&[&ours]);
        if redirects {
            issuer.redirect_keys_to(&format!("{}/keys", stranger.url()));
        } else {
            issuer.say_keys_are_at(&format!("{}/keys", stranger.url()));
        }
        let home = Home::with(&taking(&issuer));
        home.expect_logs(&["the issuer's keys cannot be read"]);
        let served = Served::ready(&home);
        assert_eq!(status(&served, &theirs.sign(&claims(&issuer, json!({})))), 503);
        assert_eq!(stranger.reads(), 0);
    }
    // The operator may configure another server for the keys.
    let issuer = Issuer::start(&[&ours]);
    let home = Home::with(&taking(&issuer).replace(" }", &format!(", jwks_url: \"{}/keys\" }}", stranger.url())));
    let served = Served::ready(&home);
    assert_eq!(status(&served, &theirs.sign(&claims(&issuer, json!({})))), 200);
}

#[test]
fn a_key_ends_after_ninety_days_unless_it_is_told_otherwise_and_doctor_names_it() {
    let home = Home::with("server: { anonymous: never }");
    let days = |key: &Value| {
        let until: jiff::Timestamp = key["expires_at"].as_str().expect("an end").parse().expect("a time");
        (until.as_second() - jiff::Timestamp::now().as_second()) as f64 / 86_400.0
    };
    let usual = home.json(&["keys", "create", "usual", "--json"]);
    assert!((days(&usual) - 90.0).abs() < 0.1, "{usual}");
    let endless = home.json(&["keys", "create", "endless", "--expires", "never", "--json"]);
    assert!(endless["expires_at"].is_null(), "{endless}");
    home.json(&["keys", "create", "brief", "--expires", "7d", "--json"]);
    let said = home.run(&["doctor"]).stdout;
    let line = said.lines().find(|line| line.contains("keys")).expect("a line about keys");
    assert!(
        line.contains("never expire, so rotate them: endless (2)") && line.contains("days, so rotate them: brief (3)"),
        "{line}"
    );
    assert!(!line.contains("usual"), "{line}");
}

#[test]
fn a_rotated_keys_old_secret_is_good_for_its_grace_period_and_no_longer() {
    let home = Home::with("server: { anonymous: never }");
    let served = Served::ready(&home);
    let first = home.key(&["ana", "--scopes", "read", "--user", "ada"]);
    let rotate = |arguments: &[&str]| {
        let said = home.json(&[&["keys", "rotate", "ana", "--json"], arguments].concat());
        said["key"].as_str().expect("a key").to_owned()
    };
    let second = rotate(&[]);
    assert_eq!((status(&served, &first), status(&served, &second)), (200, 200));
    let listed = home.json(&["keys", "list", "--json"]);
    assert_eq!(listed["count"], 2);
    assert!(listed["keys"][1]["replaced_at"].is_string() && listed["keys"][0]["replaced_at"].is_null(), "{listed}");
    assert_eq!((&listed["keys"][0]["user"], &listed["keys"][0]["scopes"]), (&json!("ada"), &json!(["read"])));
    // With a short grace period the old key ends after that time; with a grace period of zero, at
    // once.
    let third = rotate(&["--grace", "2s"]);
    wait::until("the grace period is over", || status(&served, &second) == 401);
    let fourth = rotate(&["--grace", "0"]);
    wait::until("the old key is refused", || status(&served, &third) == 401);
    assert_eq!((status(&served, &first), status(&served, &fourth)), (200, 200));
    // Revoking a name revokes all its remaining keys.
    assert_eq!(home.run(&["keys", "revoke", "ana"]).code, 0);
    wait::until("both are refused", || [&first, &fourth].iter().all(|key| status(&served, key) == 401));
    assert_eq!(home.run(&["keys", "rotate", "ana"]).code, 2, "there is none any more");
    assert!(!home.logs().any(|(_, said)| said.contains(&fourth[4..])), "a log holds a secret");
}

#[test]
fn a_stream_is_closed_when_its_key_is_revoked_or_its_token_expires() {
    let key = SigningKey::new("first");
    let issuer = Issuer::start(&[&key]);
    let home = Home::with(&taking(&issuer));
    // Two servers share one database, and a command revokes the key at neither of them.
    let mut replicas = [Served::ready(&home), Served::ready(&home)];
    let revoked = home.bearer(&["ana"]);
    let kept = home.bearer(&["bob"]);
    let mut streams = replicas.each_mut().map(|served| {
        served.key = Some(revoked.clone());
        served.events()
    });
    replicas[0].key = Some(kept);
    let mut other = replicas[0].events();
    // This token expired 25 s ago, within the leeway of 30 s for clock differences.
    let brief = key.sign(&claims(&issuer, json!({"iat": -60, "exp": -25})));
    replicas[0].key = Some(format!("Bearer {brief}"));
    let mut ending = replicas[0].events();

    assert_eq!(home.run(&["keys", "revoke", "ana"]).code, 0);
    let begun = Instant::now();
    for stream in &mut streams {
        assert!(stream.ends_within(Duration::from_secs(30)), "the stream of a revoked key is open");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(ending.ends_within(Duration::from_secs(30)), "the stream of an expired token is open");
    assert!(!other.ends_within(Duration::from_secs(1)), "another key's stream is not");
}
