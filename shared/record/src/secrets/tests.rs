use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::source::{RecordFields, SourceKind};

/// Generates a text in the alphabet of keys, with capitals, small letters and digits.
fn random(length: usize) -> impl Strategy<Value = String> {
    let rest = length - 8;
    proptest::string::string_regex(&format!("[A-Za-z0-9]{{{rest}}}"))
        .expect("a pattern")
        .prop_map(|rest| format!("{rest}Ab3dE6gH"))
}

fn hex(length: usize) -> impl Strategy<Value = String> {
    let rest = length - 10;
    proptest::string::string_regex(&format!("[0-9a-f]{{{rest}}}"))
        .expect("a pattern")
        .prop_map(|rest| format!("{rest}0123456789"))
}

/// Generates a text that contains a secret, and the part of it that must not be stored.
fn secret() -> impl Strategy<Value = (String, String)> {
    let whole = |prefix: &'static str, random: BoxedStrategy<String>| {
        random.prop_map(move |random| (format!("{prefix}{random}"), random)).boxed()
    };
    let within = |before: &'static str, random: BoxedStrategy<String>, after: &'static str| {
        random.prop_map(move |random| (format!("{before}{random}{after}"), random)).boxed()
    };
    let key = proptest::string::string_regex("[A-Z2-7]{8}").expect("a pattern");
    let mut all = vec![
        key.prop_map(|key| (format!("AKIA{key}ABCDEFGH"), format!("{key}ABCDEFGH"))).boxed(),
        (random(20), random(20), random(24)).prop_map(|(a, b, c)| (format!("eyJ{a}.eyJ{b}.{c}"), c)).boxed(),
        random(64)
            .prop_map(|key| {
                (format!("-----BEGIN RSA PRIVATE KEY-----\n{key}\n{key}\n-----END RSA PRIVATE KEY-----"), key)
            })
            .boxed(),
        random(64).prop_map(|key| (format!("-----BEGIN PRIVATE KEY-----\\n{key}\\n"), key)).boxed(),
        within("postgres://ana:", random(12).boxed(), "@db.internal:5432/shop"),
        within("https://ana:", random(12).boxed(), "@registry.internal/"),
        within("redis://:", random(12).boxed(), "@cache/0"),
        within("host=db user=ana password=", random(12).boxed(), " dbname=shop"),
        within("Server=db;Database=shop;User Id=ana;Pwd=", random(12).boxed(), ";"),
        within("host=db user=ana password='", random(12).boxed(), " with a blank'"),
        within("Authorization: Bearer ", random(24).boxed(), ""),
        within("POSTGRES_PASSWORD=", random(12).boxed(), ""),
        within("DB_PASSWORD: ", random(12).boxed(), ""),
        within("export PGPASSWORD='", random(12).boxed(), "'"),
        within(r#"{"db_password": ""#, random(12).boxed(), r#""}"#),
        within("dbPassword: ", random(12).boxed(), ""),
        within("postgres://ana:", random(12).boxed(), ");(,x@db.internal/shop"),
        within("Authorization: Basic ", random(24).boxed(), "=="),
        within("aws_secret_access_key = ", random(40).boxed(), ""),
    ];
    for (prefix, length) in [
        ("ghp_", 36),
        ("gho_", 36),
        ("github_pat_", 60),
        ("glpat-", 20),
        ("xoxb-", 24),
        ("sk-", 48),
        ("sk-proj-", 40),
        ("sk-ant-api03-", 40),
        ("AIza", 35),
        ("sk_live_", 24),
        ("npm_", 36),
        ("pypi-AgEIcHlwaS5vcmc", 60),
        ("hf_", 34),
    ] {
        all.push(whole(prefix, random(length).boxed()));
    }
    all.push(whole("pgr_", hex(64).boxed()));
    all.push(whole("sk-or-v1-", hex(64).boxed()));
    proptest::strategy::Union::new(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    // No secret of a known format is left, whatever is around it, and redacting twice changes
    // nothing.
    #[test]
    fn no_secret_of_a_known_shape_is_left(
        (text, secret) in secret(), before in "[ -~]{0,20}[ \n(\"=,]", after in "[ \n)\",;][ -~]{0,20}"
    ) {
        let redacted = redact(&format!("{before}{text}{after}")).into_owned();
        prop_assert!(!redacted.contains(&secret), "{redacted}");
        prop_assert!(redacted.contains("[redacted: "));
        prop_assert_eq!(redact(&redacted), redacted.as_str());
    }

    #[test]
    fn any_text_is_searched_without_a_panic(text in any::<String>()) {
        let _ = redact(&text);
    }
}

#[test]
fn what_only_looks_like_a_secret_is_left_as_it_is() {
    let picture = format!("data:image/png;base64,{}", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ".repeat(40));
    for text in [
        "commit 3f786850e387550fdab836ed7e6dc881de23001b of 89e6c98d92887913cadf06b2adb97f26cde4849b",
        "0190a5b0-0000-7000-8000-000000000000",
        &picture,
        "pip install sk-learn scikit-learn; sk-estimator-doc-link, a risk-adjusted-return-on-capital-2024-q3-report",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx and AIza are how such keys begin",
        "let password = settings.database_password; connect(host=h, user=name, password=secret_value)",
        "password=os.environ[\"PG_PASSWORD\"] password=getpass.getpass() PWD=/home/ana2/work",
        "postgres://user:password@host/db, postgres://ana:${PASSWORD}@host/db, http://host:8080/a@b, http://[::1]:80/@x",
        "password: ask Bob. Password=\"\" password: str = None",
        "Authorization: Bearer <token>, Authorization: Bearer YOUR_TOKEN, Authorization: Bearer $TOKEN",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "A file begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----, as everyone knows.",
        "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ2hlY2sgdGhpcyBvdXQ\n-----END CERTIFICATE-----",
        "scp ana@host:/srv/a b@c:d; mailto:ana@example.org; git@github.com:acme/shop.git",
        "eyJhbGciOiJub25lIn0 is the head of a token",
        "Authorization: Basic Authentication. Authorization: Bearer Authentication",
        "Password: https://vault.acme.io/items/42 or \"password\": \"https://vault.acme.io/items/42\"",
        r"pwd: C:\work\app2",
        "[app](http://host:8080),[mail](mailto:ops@acme.io) http://localhost:3000;ops@acme.io [a](http://host),[b](to:c@d)",
        "OLDPWD=/home/ana2/work",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn every_field_is_screened_and_a_name_with_a_secret_is_refused() {
    let token = format!("ghp_{}", "Ab3dE6gH9j".repeat(4));
    let object = |value: Value| value.as_object().expect("an object").clone();
    let mut record = Record {
        fields: RecordFields {
            title: format!("the token {token}"),
            uri: Some(format!("https://ana:{token}@host/")),
            category: Some(token.clone()),
            origin: Some(token.clone()),
            tags: vec![token.clone()],
            entity_urns: vec![format!("urn:x:{token}")],
            metadata: object(json!({"a": [{"b": token}], &token: 1, "z": 2})),
            ..RecordFields::default()
        },
        details: Some(object(json!({"c": token}))),
        ..Record::new(SourceKind::Memory, format!("text {token}, and {token}"))
    };
    let clean = screen(&mut record.clone(), Secrets::Off).expect("nothing is looked for");
    assert!(clean.is_empty());
    let refused = screen(&mut record.clone(), Secrets::Refuse).expect_err("it holds secrets");
    assert_eq!(refused, RecordError::Secret { field: "text", kind: "github token" });
    assert!(!refused.to_string().contains(&token), "{refused}");
    let redacted = screen(&mut record, Secrets::Redact).expect("it is redacted");
    assert!(!format!("{record:?}").contains(&token), "{record:?}");
    assert_eq!(redacted.count(), 11, "{redacted}");
    assert_eq!(record.body, "text [redacted: github token], and [redacted: github token]");
    assert_eq!(record.fields.metadata.keys().next_back().map(String::as_str), Some("z"), "names keep their order");

    let mut keyed = Record {
        fields: RecordFields { key: Some(token), ..RecordFields::default() },
        ..Record::new(SourceKind::Document, "x")
    };
    let refused = screen(&mut keyed, Secrets::Redact).expect_err("a key is a name");
    assert!(matches!(refused, RecordError::Secret { field: "key", .. }));
}

#[test]
fn a_report_says_how_many_there_were_and_never_what() {
    let mut all = Redactions::default();
    for _ in 0..2 {
        let mut record = Record::new(SourceKind::Memory, "postgres://ana:s3cr3tWord@db/x");
        all.add(&screen(&mut record, Secrets::Redact).expect("it is redacted"));
    }
    assert_eq!(all.to_string(), "2 secrets (password)");
    assert_eq!(serde_json::to_value(&all).expect("a map"), json!({"password": 2}));
}

#[test]
fn a_long_text_of_beginnings_is_searched_in_linear_time() {
    for part in [
        "-----BEGIN PRIVATE KEY-----",
        "a://b:",
        "password=",
        "a_",
        "db_pwd='",
        "eyJaaaaaaaaa.",
        "sk-",
        "https://a:b@c@",
    ] {
        let short = part.repeat(64 * 1024 / part.len());
        let long = part.repeat(1024 * 1024 / part.len());
        let time = |text: &str| {
            let begun = std::time::Instant::now();
            std::hint::black_box(find(text).len());
            begun.elapsed()
        };
        let (short, long) = (time(&short), time(&long));
        // The long text is 16 times as long: a quadratic search would take 256 times as long.
        assert!(long < short * 80 + std::time::Duration::from_millis(200), "{part}: {short:?}, then {long:?}");
    }
}
