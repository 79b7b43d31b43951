//! Authorization over HTTP: API keys, tokens of an authorization server, and tenants that cannot
//! reach each other's records.

use std::time::{SystemTime, UNIX_EPOCH};

use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::home::Home;
use pgrecall_harness::http::{JSON, Served};
use pgrecall_harness::issuer::{Issuer, RsaKey, SigningKey, base64, unsigned};
use pgrecall_harness::{postgres, wait};
use serde_json::{Value, json};

const PING: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#;

/// Pings with this Authorization header, and returns the status and the challenge.
fn ping(served: &Served, authorization: &str) -> (u16, String) {
    let answer = served.post(&[JSON[0], JSON[1], ("Authorization", authorization)], PING);
    (answer.status, answer.header("www-authenticate").unwrap_or_default().to_owned())
}

/// Sets the key that requests to this server carry.
fn with_key(served: &mut Served, key: &str) {
    served.key = Some(format!("Bearer {key}"));
}

fn tools(served: &Served) -> Vec<String> {
    let listed = served.request("tools/list", json!({})).json();
    let name = |tool: &Value| tool["name"].as_str().expect("a tool has a name").to_owned();
    listed["result"]["tools"].as_array().expect("a list of tools").iter().map(name).collect()
}

#[test]
fn a_key_is_shown_once_opens_what_its_scopes_say_and_ends_when_it_is_revoked() {
    let home = Home::with("server: { anonymous: never }");
    let mut served = Served::ready(&home);
    let key = home.key(&["ana"]);
    assert!(key.starts_with("pgr_") && key.len() > 60);
    with_key(&mut served, &key);
    let kept = served.ask("memory_remember", json!({"content": "Ana owns the billing service."}));
    assert_eq!(served.ask("memory_recall", json!({"query": "billing"}))["memories"][0]["id"], kept["id"]);

    let reader = home.key(&["reader", "--scopes", "read"]);
    with_key(&mut served, &reader);
    assert_eq!(tools(&served), ["memory_recall", "memory_manage", "search", "fetch", "index_status"]);
    let refused = served.call("memory_remember", json!({"content": "x"}));
    let sentence = refused["content"][0]["text"].as_str().unwrap();
    assert!(refused["isError"] == true && sentence.contains("lacks the scope `write`"), "{refused}");

    let listed = home.json(&["keys", "list", "--json"]);
    assert_eq!(listed["count"], 2);
    assert!(!listed.to_string().contains(&key) && !listed.to_string().contains("pgr_"), "{listed}");
    assert!(listed["keys"][1]["last_used_at"].is_string() && listed["keys"][1]["name"] == "ana", "{listed}");

    assert_eq!(home.run(&["keys", "create", "ana"]).code, 2, "a name stands for one key");
    assert_eq!(ping(&served, &format!("Bearer {key}")).0, 200);
    assert_eq!(home.run(&["keys", "revoke", "ana"]).code, 0);
    wait::until("the revoked key is refused", || ping(&served, &format!("Bearer {key}")).0 == 401);
    assert_eq!(home.run(&["keys", "revoke", "ana"]).code, 2);
    home.key(&["ana"]);
    assert_eq!(home.json(&["keys", "list", "--all", "--json"])["count"], 3);

    let brief = home.key(&["brief", "--expires", "2s"]);
    assert_eq!(ping(&served, &format!("bearer  {brief}")).0, 200);
    wait::until("the key has expired", || ping(&served, &format!("Bearer {brief}")).0 == 401);
}

#[test]
fn credentials_that_are_none_are_refused_by_their_status_and_no_secret_is_logged() {
    let home = Home::with("server: { anonymous: never }");
    let served = Served::ready(&home);
    let key = home.key(&["ana"]);
    let almost = format!("{}0", &key[..key.len() - 1]);
    for wrong in
        [&*format!("Bearer {almost}x"), "Bearer pgr_", "Bearer x.y.z", "Basic YTpi", "Bearer", "Bearer a b", &key]
    {
        let (status, challenge) = ping(&served, wrong);
        assert_eq!((status, challenge.contains("error=\"invalid_token\"")), (401, true), "{wrong}");
    }
    let two = [JSON[0], JSON[1], ("Authorization", "Bearer a"), ("Authorization", &*format!("Bearer {key}"))];
    assert_eq!(served.post(&two, PING).status, 401);
    // A server that accepts callers without a key still refuses a wrong one.
    let local = Home::new();
    let open = Served::ready(&local);
    assert_eq!(ping(&open, "Bearer pgr_0").0, 401);
    assert!(!served.stderr().contains(&key[4..]), "the log holds a secret");
}

#[test]
fn a_caller_that_asks_too_often_is_told_when_to_come_again_and_the_others_are_not() {
    let home = Home::with("server: { anonymous: never, rate_limit: 60 }");
    let served = Served::ready(&home);
    let (one, other) = (home.key(&["one"]), home.key(&["other"]));
    let send = |key: &str| served.post(&[JSON[0], JSON[1], ("Authorization", &format!("Bearer {key}"))], PING);
    let answers: Vec<_> = (0..20).map(|_| send(&one)).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers[..6].iter().all(|answer| answer.status == 200), "a tenth of a minute's at once");
    assert!(refused.len() >= 10, "{}", refused.len());
    let wait: u64 = refused[0].header("retry-after").expect("when to come again").parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    assert_eq!(send(&other).status, 200);
}

#[test]
fn an_address_that_sends_wrong_keys_is_stopped_and_whoever_has_a_good_one_is_not() {
    let home = Home::with("server: { anonymous: never, failure_limit: 5, trusted_proxies: [127.0.0.1] }");
    let served = Served::ready(&home);
    let [good, unseen] = ["good", "unseen"].map(|name| home.key(&[name]));
    let send = |key: &str, client: &str| {
        let from = [JSON[0], JSON[1], ("Authorization", &format!("Bearer {key}")), ("X-Forwarded-For", client)];
        served.post(&from, PING)
    };
    assert_eq!(send(&good, "203.0.113.9").status, 200);
    let wrong = |number: usize| format!("pgr_{number:064x}");
    // Entries that the client itself writes, left of the proxy's entry, do not help it.
    let answers: Vec<_> = (0..20).map(|it| send(&wrong(it), &format!("192.0.2.{it}, 203.0.113.9"))).collect();
    assert!(answers[..5].iter().all(|answer| answer.status == 401), "{answers:?}");
    let stopped: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(stopped.len() >= 10 && stopped.iter().all(|it| it.header("retry-after").is_some()), "{answers:?}");
    assert!(stopped[0].body.contains("wrong keys or tokens"), "{:?}", stopped[0]);
    assert_eq!(send(&wrong(99), "198.51.100.7").status, 401, "another address");
    assert_eq!(send(&good, "203.0.113.9").status, 200, "the same address, and a good key");
    assert_eq!(send(&unseen, "203.0.113.9").status, 200, "the same address, and a good key that is new to the server");
}

/// Returns a configuration that accepts an issuer's tokens.
fn taking(issuer: &Issuer) -> String {
    // There is no failure limit, because the tests send hundreds of wrong tokens from one address.
    format!(
        "server:\n  failure_limit: 0\n  public_url: https://recall.example\n  allowed_hosts: [localhost]\n  oauth:\n    issuer: {}\n    \
         tenant_claim: org\n    persona_claim: persona\n    scope_prefix: \"recall:\"\n",
        issuer.url()
    )
}

/// Returns the claims of a valid token, with `extra` in addition.
fn claims(issuer: &Issuer, extra: Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs();
    let mut claims = json!({
        "iss": issuer.url(), "aud": "https://recall.example/mcp", "sub": "ada", "org": "acme", "iat": now, "exp": now + 600,
        "scope": "openid recall:read recall:write",
    });
    for (name, value) in extra.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

#[test]
fn a_token_opens_what_its_claims_say_and_keys_may_be_rotated() {
    let (first, second) = (SigningKey::new("first"), SigningKey::new("second"));
    let issuer = Issuer::start(&[&first]);
    let home = Home::with(&taking(&issuer));
    let mut served = Served::ready(&home);
    let about = served.send("GET", "/.well-known/oauth-protected-resource/mcp", &[], b"").unwrap().json();
    assert_eq!(about["resource"], "https://recall.example/mcp");
    assert_eq!(about["authorization_servers"], json!([issuer.url()]));
    let (status, challenge) = ping(&served, "Bearer x.y.z");
    let pointer = "resource_metadata=\"https://recall.example/.well-known/oauth-protected-resource/mcp\"";
    assert!(status == 401 && challenge.contains(pointer), "{challenge}");
    assert!(served.post(&JSON, PING).header("www-authenticate").unwrap().contains(pointer));

    with_key(&mut served, &first.sign(&claims(&issuer, json!({}))));
    let kept = served.ask("memory_remember", json!({"content": "Ada owns the billing service."}));
    assert_eq!(served.ask("memory_recall", json!({"query": "billing"}))["count"], 1);
    with_key(&mut served, &first.sign(&claims(&issuer, json!({"org": "other"}))));
    assert_eq!(served.ask("memory_recall", json!({"query": "billing"}))["count"], 0);
    assert_eq!(served.call("fetch", json!({"id": kept["id"]}))["isError"], true);
    with_key(&mut served, &first.sign(&claims(&issuer, json!({"scope": ["recall:read"]}))));
    assert_eq!(tools(&served).len(), 5);

    // Most issuers sign with RSA.
    let rsa = RsaKey::new("rsa");
    issuer.publish_all(vec![first.public(), rsa.public()]);
    let token = format!(
        "Bearer {}",
        rsa.sign(&claims(&issuer, json!({"aud": ["https://other.example", "https://recall.example/mcp"]})))
    );
    wait::until("the RSA key is known", || ping(&served, &token).0 == 200);
    assert_eq!(ping(&served, &token.replace(".", ".e")).0, 401);

    // The server looks up a key that it does not know, and refuses a withdrawn key once it has read
    // the issuer's new keys.
    issuer.publish(&[&second]);
    let renewed = format!("Bearer {}", second.sign(&claims(&issuer, json!({}))));
    wait::until("the new key is known", || ping(&served, &renewed).0 == 200);
    assert_eq!(ping(&served, &format!("Bearer {}", first.sign(&claims(&issuer, json!({}))))).0, 401);
    // Tokens with a key id that the issuer never had do not each cause a request to the issuer.
    let before = issuer.reads();
    let stranger = SigningKey::new("stranger");
    for _ in 0..50 {
        assert_eq!(ping(&served, &format!("Bearer {}", stranger.sign(&claims(&issuer, json!({}))))).0, 401);
    }
    assert!(issuer.reads() <= before + 1, "{} reads", issuer.reads() - before);
}

#[test]
fn tokens_that_are_not_meant_for_this_server_open_nothing() {
    let key = SigningKey::new("first");
    let issuer = Issuer::start(&[&key]);
    let home = Home::with(&taking(&issuer));
    let served = Served::ready(&home);
    let status = |token: &str| ping(&served, &format!("Bearer {token}")).0;
    let good = claims(&issuer, json!({}));
    assert_eq!(status(&key.sign(&good)), 200);
    for (wrong, expected) in [
        (json!({"aud": "https://other.example"}), 401),
        (json!({"aud": null}), 401),
        (json!({"iss": "https://evil.example"}), 401),
        (json!({"exp": 1}), 401),
        (json!({"exp": null}), 401),
        (json!({"nbf": 4_000_000_000_u64}), 401),
        (json!({"org": null}), 403),
        (json!({"org": ""}), 403),
        (json!({"org": ["acme"]}), 403),
        (json!({"org": "acme\u{0}'; DROP TABLE sources; --"}), 403),
        (json!({"sub": 7}), 403),
        (json!({"sub": "x".repeat(300)}), 403),
        (json!({"persona": 1}), 403),
        (json!({"persona": " "}), 403),
        (json!({"scope": "openid"}), 403),
        (json!({"scope": null}), 403),
    ] {
        assert_eq!(status(&key.sign(&claims(&issuer, wrong.clone()))), expected, "{wrong}");
    }
    // A tenant's name is only a value, even if it looks like SQL.
    assert_eq!(status(&key.sign(&claims(&issuer, json!({"org": "'; SET ROLE pgrecall_owner; --"})))), 200);
    let none = unsigned(&json!({"alg": "none", "kid": "first"}), &good);
    let secret = unsigned(&json!({"alg": "HS256", "kid": "first"}), &good);
    let public = key.public()["x"].as_str().unwrap().to_owned();
    for forged in [
        format!("{none}."),
        none.clone(),
        format!("{secret}.{}", base64(public.as_bytes())),
        key.sign_as(&json!({"alg": "RS256", "kid": "first"}), &good),
        key.sign_as(&json!({"alg": "ES256", "kid": "first", "crit": ["b64"], "b64": false}), &good),
        key.sign_as(&json!({"alg": "ES256", "kid": "other"}), &good),
        format!("{}A", key.sign(&good)),
        SigningKey::new("first").sign(&good),
        format!("{}.", "e".repeat(20_000)),
    ] {
        assert_eq!(status(&forged), 401, "{}", &forged[..forged.len().min(200)]);
    }
    // Replacing any one character makes the token invalid.
    let (token, mut rng) = (key.sign(&good), SeededRng(11));
    for _ in 0..500 {
        let mut changed = token.clone().into_bytes();
        let at = rng.below(changed.len());
        changed[at] = *rng.pick(b"abcXYZ019-_.");
        let changed = String::from_utf8(changed).unwrap();
        assert!(changed == token || status(&changed) == 401, "{changed}");
    }
    // A token without a key id is checked with the issuer's only key.
    assert_eq!(status(&key.sign_as(&json!({"alg": "ES256"}), &good)), 200);
}

#[test]
fn what_a_proxy_passes_on_is_not_taken_for_the_local_callers() {
    let home = Home::new();
    let served = Served::start(&home);
    assert_eq!(served.post(&JSON, PING).status, 200);
    for passed_on in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"] {
        assert_eq!(served.post(&[JSON[0], JSON[1], (passed_on, "for=192.0.2.1")], PING).status, 401, "{passed_on}");
    }
}

#[test]
fn a_session_of_events_listens_to_the_one_who_opened_it() {
    let home = Home::with("server: { anonymous: never }");
    let mut served = Served::ready(&home);
    let keys = ["writer", "reader"].map(|name| home.key(&[name, "--user", "ana"]));
    with_key(&mut served, &keys[0]);
    let events = served.events();
    let post = |served: &Served| served.send("POST", &events.path, &JSON, PING.as_bytes()).map(|answer| answer.status);
    assert_eq!(post(&served), Some(202));
    with_key(&mut served, &keys[1]);
    assert_eq!(post(&served), Some(404), "another key, if of the same user");
}

#[test]
fn an_issuer_that_is_away_is_no_reason_to_let_anybody_in() {
    let home = Home::with(
        "server:\n  public_url: https://recall.example\n  oauth: { issuer: \"http://127.0.0.1:1\" }\n  allowed_hosts: [localhost]\n",
    );
    home.expect_logs(&["the issuer's keys cannot be read"]);
    let served = Served::ready(&home);
    let token = SigningKey::new("first").sign(&json!({"iss": "http://127.0.0.1:1"}));
    let answer = served.post(&[JSON[0], JSON[1], ("Authorization", &format!("Bearer {token}"))], PING);
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{answer:?}");
    // API keys work without the issuer.
    assert_eq!(ping(&served, &home.bearer(&["ana"])).0, 200);
}

#[test]
fn a_tenant_reaches_nothing_of_another_by_any_tool_or_id() {
    let home = Home::with("server: { anonymous: never, rate_limit: 0 }");
    let mut served = Served::ready(&home);
    let keys = ["one", "other"].map(|tenant| home.key(&[tenant, "--tenant", tenant]));
    with_key(&mut served, &keys[0]);
    let theirs: Vec<Value> = (0..50)
        .map(|number| {
            let content = format!("The vault of number {number} opens with the word sesame.");
            served.ask("memory_remember", json!({"content": content, "key": format!("vault-{number}")}))["id"].clone()
        })
        .collect();
    with_key(&mut served, &keys[1]);
    let mut attempts = 0;
    while attempts < 10_000 {
        for (number, id) in theirs.iter().enumerate() {
            let key = format!("vault-{number}");
            assert_eq!(served.call("fetch", json!({"id": id}))["isError"], true);
            let forgotten = served.call("memory_forget", json!({"ids": [id], "dry_run": false}));
            assert_eq!(forgotten["structuredContent"]["sources"], 0, "{forgotten}");
            attempts += 2;
            // These calls take longer and have fewer ways to leak, so there are fewer of them.
            if number % 5 == 0 {
                let recalled = served.ask("memory_recall", json!({"query": "vault sesame", "limit": 100}));
                assert_eq!(recalled["count"], 0, "{recalled}");
                let found = served.ask("search", json!({"query": format!("{key} {id}"), "limit": 100}));
                assert_eq!(found["results"], json!([]), "{found}");
                attempts += 2;
            }
        }
    }
    assert_eq!(served.ask("index_status", json!({}))["kinds"]["memory"]["succeeded"].as_i64().unwrap_or(0), 0);
    // In this tenant the same keys name other records.
    for number in 0..theirs.len() {
        let memory = json!({"content": "Nothing.", "key": format!("vault-{number}")});
        assert_eq!(served.ask("memory_remember", memory)["stored"], "created");
    }
    with_key(&mut served, &keys[0]);
    for id in &theirs {
        assert!(served.ask("fetch", json!({"id": id}))["text"].as_str().unwrap().contains("sesame"));
    }
}

#[test]
fn each_call_is_counted_and_noted_without_what_was_said() {
    let address = pgrecall_harness::http::free_address();
    let dsn = postgres::database_now();
    let home = Home::with(&format!(
        "database: {{ dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\nserver: {{ anonymous: never, metrics_address: \"{address}\" }}",
        json!(dsn)
    ));
    let mut served = Served::ready(&home);
    with_key(&mut served, &home.key(&["ana", "--tenant", "acme"]));
    served.ask("memory_remember", json!({"content": "The password is sesame.", "tags": ["secret"]}));
    served.ask("memory_recall", json!({"query": "what is the password?", "limit": 3}));
    assert_eq!(
        served.call("memory_recall", json!({"query": "x", "limit": 0, "my pin is 1234": 1, "\u{0}": 1}))["isError"],
        true
    );
    with_key(&mut served, &home.key(&["reader", "--scopes", "read"]));
    served.call("memory_remember", json!({"content": "no"}));
    served.key = None;
    assert_eq!(served.post(&JSON, PING).status, 401);
    let metrics = pgrecall_harness::http::scrape(address);
    for line in [
        "pgrecall_tool_calls_total{tool=\"memory_remember\",outcome=\"ok\"} 1",
        "pgrecall_tool_calls_total{tool=\"memory_remember\",outcome=\"forbidden\"} 1",
        "pgrecall_tool_calls_total{tool=\"memory_recall\",outcome=\"refused\"} 1",
        "pgrecall_http_answers_total{route=\"mcp\",status=\"401\"} 1",
        "pgrecall_database_up 1",
        "pgrecall_audit_dropped_total 0",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|said| said == line), "{line} is missing in\n{metrics}");
    }
    assert!(metrics.contains("pgrecall_tool_seconds_count{tool=\"memory_recall\"} 2"), "{metrics}");
    assert!(
        metrics.contains("pgrecall_recalls_total{ranking=\"") && metrics.contains("pgrecall_query_embed_seconds_count")
    );
    assert!(metrics.contains("pgrecall_pool_connections{state=\"idle\"}"), "{metrics}");

    let mut noted = Vec::new();
    wait::until("the calls are noted", || {
        noted = postgres::texts_now(
            &dsn,
            "SELECT caller || ' ' || tool || ' ' || outcome || ' ' || arguments FROM pgrecall.audit_log WHERE caller LIKE 'key %' ORDER BY at",
        );
        noted.len() == 4
    });
    assert_eq!(noted[0], r#"key 1 memory_remember ok {"tags": "list of 1", "content": "text of 23"}"#);
    assert_eq!(noted[1], r#"key 1 memory_recall ok {"limit": 3, "query": "text of 21"}"#);
    assert!(
        noted[2].starts_with("key 1 memory_recall refused") && noted[3].starts_with("key 2 memory_remember forbidden")
    );
    assert!(!noted.concat().contains("sesame"));

    // Calls in the last moment before a stop are in the audit log too.
    with_key(&mut served, &home.key(&["last"]));
    served.ask("memory_recall", json!({"query": "one more"}));
    served.signal("TERM");
    assert_eq!(served.finish().code, 0);
    let noted =
        postgres::texts_now(&dsn, "SELECT caller FROM pgrecall.audit_log WHERE caller LIKE 'key %' ORDER BY at");
    assert_eq!(noted.last().map(String::as_str), Some("key 3"), "{noted:?}");
}
