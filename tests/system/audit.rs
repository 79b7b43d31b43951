//! The audit log has every call by every kind of caller, even if the database fails.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use pgrecall_harness::home::{DATABASE_FAILS, Home};
use pgrecall_harness::http::{self, JSON, Served};
use pgrecall_harness::{postgres, wait};
use pgrecall_postgres::dsn::Dsn;
use serde_json::{Value, json};

const PING: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#;

/// Creates a home with this database and these additional lines of configuration.
fn home(dsn: &str, more: &str) -> Home {
    Home::with(&format!("database: {{ dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\n{more}", json!(dsn)))
}

/// Returns the entries that match the condition `of`, as `caller tool outcome`.
fn noted(dsn: &str, of: &str) -> Vec<String> {
    let statement = format!(
        "SELECT caller || ' ' || tool || ' ' || outcome FROM pgrecall.audit_log WHERE {of} ORDER BY at, entry_id"
    );
    postgres::texts_now(dsn, &statement)
}

fn run(dsn: &str, statement: &str) {
    postgres::texts_now(dsn, statement);
}

fn spill_files(home: &Home) -> Vec<PathBuf> {
    let folder = home.folder().join("home/audit");
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).collect()
}

#[test]
fn calls_that_the_database_does_not_take_are_noted_once_after_a_kill_and_a_restart() {
    let (dsn, address) = (postgres::database_now(), http::free_address());
    let home = home(&dsn, &format!("server: {{ anonymous: never, metrics_address: \"{address}\" }}"));
    home.expect_logs(DATABASE_FAILS);
    home.expect_logs(&["a line of the audit spill cannot be read and was skipped"]);
    let mut served = Served::ready(&home);
    served.key = Some(home.bearer(&["ana"]));
    served.ask("memory_remember", json!({"content": "The first."}));
    wait::until("the first is noted", || noted(&dsn, "tool = 'memory_remember'").len() == 1);

    // A full disk has this effect: calls are answered, and their entries are refused.
    run(&dsn, "REVOKE INSERT ON pgrecall.audit_log FROM pgrecall_worker");
    for number in 0..300 {
        served.ask("memory_recall", json!({"query": format!("number {number}")}));
    }
    let lines = || {
        let texts = spill_files(&home).into_iter().filter_map(|path| fs::read_to_string(path).ok());
        texts.map(|text| text.lines().count()).sum::<usize>()
    };
    wait::until("they are in the spill file", || lines() == 300);
    assert_eq!(http::metric(address, "pgrecall_audit_dropped_total"), 0);
    assert_eq!(http::metric(address, "pgrecall_audit_spilled_total"), 300);
    assert!(http::metric(address, "pgrecall_audit_pending_bytes") > 0);
    let mode = |path: PathBuf| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(home.folder().join("home/audit")), 0o700);
    assert!(spill_files(&home).into_iter().all(|path| mode(path) == 0o600));
    let text = spill_files(&home).into_iter().map(|path| fs::read_to_string(path).expect("a text")).collect::<String>();
    assert!(!text.contains("number 1") && !text.contains("The first"), "{text}");

    served.kill();
    // An incomplete line, as a kill in the middle of a write leaves.
    let mut torn = text.clone();
    torn.push_str("{\"id\": \"0190");
    fs::write(&spill_files(&home)[0], torn).expect("it can be written to");
    run(&dsn, "GRANT INSERT ON pgrecall.audit_log TO pgrecall_worker");
    let mut served = Served::ready(&home);
    served.key = Some(home.bearer(&["bob"]));
    wait::until("they are in the database", || noted(&dsn, "tool = 'memory_recall'").len() == 300);
    wait::until("the file is gone", || spill_files(&home).is_empty());
    served.ask("search", json!({"query": "once more"}));
    wait::until("the next one is noted", || noted(&dsn, "tool = 'search'").len() == 1);
    assert_eq!(noted(&dsn, "tool = 'memory_recall'").len(), 300, "each once");
    // Either the server skipped the incomplete line, or the `keys create` before it did.
    assert!(home.logs().any(|(_, said)| said.contains("a line of the audit spill cannot be read")));
    assert_eq!(http::metric(address, "pgrecall_audit_pending_bytes"), 0);
}

#[test]
fn a_file_that_was_being_written_to_the_database_is_begun_again_and_stored_once() {
    let dsn = postgres::database_now();
    let home = home(&dsn, "server: { anonymous: never }");
    home.expect_logs(DATABASE_FAILS);
    let mut served = Served::ready(&home);
    served.key = Some(home.bearer(&["ana"]));
    run(&dsn, "REVOKE INSERT ON pgrecall.audit_log FROM pgrecall_worker");
    served.ask("memory_recall", json!({"query": "x"}));
    wait::until("it is in the spill file", || !spill_files(&home).is_empty());
    let file = spill_files(&home).remove(0);
    wait::until("it is whole", || fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')));
    let line = fs::read(&file).expect("a line");
    served.kill();
    run(&dsn, "GRANT INSERT ON pgrecall.audit_log TO pgrecall_worker");
    // The command writes the spilled entries before its own.
    assert_eq!(home.run(&["export"]).code, 0);
    assert_eq!(noted(&dsn, "tool = 'memory_recall'").len(), 1);
    // A program that is killed between the commit and the deletion of the file leaves the file.
    fs::write(&file, &line).expect("it can be written to");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    assert_eq!(home.run(&["export"]).code, 0);
    assert!(spill_files(&home).is_empty());
    assert_eq!(noted(&dsn, "tool = 'memory_recall'").len(), 1);
}

#[test]
fn a_call_that_cannot_be_noted_is_refused_before_it_does_anything() {
    let dsn = postgres::database_now();
    let mut home = home(&dsn, "");
    home.expect_logs(DATABASE_FAILS);
    // The spill folder is a link to a folder with another file. The program must not write there,
    // and must report it.
    let theirs = home.file("theirs", "precious");
    let spill = home.folder().join("spill");
    std::os::unix::fs::symlink(home.folder(), &spill).expect("a link");
    let address = http::free_address();
    home.configure(&format!(
        "database: {{ dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\nserver: {{ metrics_address: \"{address}\" }}\n\
         audit: {{ required: true, spill: {}, spill_mib: 1 }}",
        json!(dsn),
        json!(spill)
    ));
    let said = home.run(&["remember", "By a command."]);
    assert!(said.code == 1 && said.stderr.contains("audit.required"), "{} {}", said.code, said.stderr);
    let mut host = home.host();
    let sentence = host.refused("memory_remember", json!({"content": "On stdio."}));
    assert!(sentence.contains("nothing was done") && sentence.contains("audit.required"), "{sentence}");
    assert!(
        host.request("resources/list", json!({}))["error"]["message"].as_str().is_some_and(|it| it.contains("audit"))
    );
    host.leave();
    let served = Served::ready(&home);
    assert_eq!(served.call("memory_remember", json!({"content": "Over HTTP."}))["isError"], true);
    assert_eq!(postgres::texts_now(&dsn, "SELECT body FROM pgrecall.sources"), [""; 0]);

    // Once the link is gone, the program creates a folder of its own, and calls are allowed and
    // logged.
    fs::remove_file(&spill).expect("the link");
    wait::until("the spill can be used", || {
        served.call("memory_remember", json!({"content": "Over HTTP."}))["isError"] != true
    });
    wait::until("it is noted", || noted(&dsn, "tool = 'memory_remember' AND outcome = 'ok'").len() == 1);
    // The same happens when the spill is full and the database refuses the entries.
    run(&dsn, "REVOKE INSERT ON pgrecall.audit_log FROM pgrecall_worker");
    served.ask("memory_recall", json!({"query": "x"}));
    let files = || {
        let files = fs::read_dir(&spill).into_iter().flatten().flatten().map(|entry| entry.path());
        files.filter(|path| path.to_string_lossy().ends_with(".jsonl")).collect::<Vec<_>>()
    };
    wait::until("an entry was spilled", || {
        files().iter().any(|path| fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n')))
    });
    served.kill();
    let file = files().remove(0);
    let line = fs::read_to_string(&file).expect("a line");
    fs::write(&file, line.repeat((1 << 20) / line.len() - 1)).expect("it is ours, of mode 0600");
    let served = Served::ready(&home);
    let refused = served.call("memory_remember", json!({"content": "Into a full spill."}));
    let sentence = refused["content"][0]["text"].as_str().unwrap_or_default();
    assert!(refused["isError"] == true && sentence.contains("audit.spill_mib"), "{refused}");
    assert_eq!(postgres::texts_now(&dsn, "SELECT body FROM pgrecall.sources"), ["Over HTTP."]);
    assert_eq!(http::metric(address, "pgrecall_audit_dropped_total"), 0);
    run(&dsn, "GRANT INSERT ON pgrecall.audit_log TO pgrecall_worker");
    wait::until("the spill has room again", || {
        served.call("memory_remember", json!({"content": "Over HTTP."}))["isError"] != true
    });
    assert_eq!(fs::read_to_string(theirs).expect("it is there"), "precious");
}

#[test]
fn writes_of_the_audit_log_that_time_out_take_no_more_connections() {
    let dsn = postgres::database_now();
    let home = home(&dsn, "");
    home.expect_logs(DATABASE_FAILS);
    let served = Served::ready(&home);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
    let client = runtime.block_on(async {
        let (client, connection) = Dsn::parse(&dsn).expect("a DSN").connect().await.expect("Postgres answers");
        pgrecall_process::tasks::connection("test-locks", connection);
        client.batch_execute("BEGIN; LOCK TABLE pgrecall.audit_log").await.expect("nobody else holds a lock");
        client
    });
    let timed_out = || -> usize {
        home.logs().map(|(_, said)| said.matches("the database did not take the audit entries").count()).sum()
    };
    wait::until("four writes have timed out", || {
        served.ask("memory_recall", json!({"query": "x"}));
        std::thread::sleep(Duration::from_millis(200));
        timed_out() >= 4
    });
    let count = |which: &str| {
        let of = "FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'";
        let count =
            postgres::texts_now(&dsn, &format!("SELECT count(*)::text {of} AND pid <> pg_backend_pid() {which}"));
        count[0].parse::<u32>().expect("a number")
    };
    // The canceled writes end soon; one more may have begun.
    wait::until("no write that has timed out goes on", || count("AND wait_event_type = 'Lock'") <= 1);
    // The default of `database.connections`, the connection that `/readyz` opens, and the one that
    // holds the lock.
    assert!(count("") <= 10 + 1 + 1, "{}", count(""));
    runtime.block_on(client.batch_execute("ROLLBACK")).expect("it still runs");
    wait::until("the calls are noted", || !noted(&dsn, "tool = 'memory_recall'").is_empty());
}

#[test]
fn refused_credentials_and_scopes_commands_and_stdio_are_noted() {
    let dsn = postgres::database_now();
    let home = home(&dsn, "server: { anonymous: never, failure_limit: 0 }");
    let mut served = Served::ready(&home);
    let writer = home.bearer(&["writer", "--scopes", "write", "--tenant", "acme"]);
    for number in 0..500 {
        let wrong = format!("Bearer pgr_{number:064x}");
        assert_eq!(served.post(&[JSON[0], JSON[1], ("Authorization", &wrong)], PING).status, 401);
    }
    served.key = Some(writer);
    for (method, params) in [
        ("resources/list", json!({})),
        ("resources/read", json!({"uri": "memory://0190a5b0-0000-7000-8000-000000000000"})),
        ("prompts/list", json!({})),
        ("prompts/get", json!({"name": "x"})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": "b"}}),
        ),
    ] {
        assert!(served.request(method, params).json()["error"].is_object(), "{method}");
    }
    assert!(served.request("tools/call", json!({"name": "my secret", "arguments": {}})).json()["error"].is_object());
    let kept = served.ask("memory_remember", json!({"content": "The vault opens with sesame."}));

    let mut host = home.host();
    let own = host.ask("memory_remember", json!({"content": "On stdio."}));
    host.leave();
    assert_eq!(home.run(&["remember", "By a command."]).code, 0);
    assert_eq!(home.run(&["recall", "command"]).code, 0);
    assert_eq!(home.run(&["export"]).code, 0);
    assert_eq!(home.run(&["keys", "rotate", "writer", "--tenant", "acme"]).code, 0);
    assert_eq!(home.run(&["keys", "revoke", "writer", "--tenant", "acme"]).code, 0);
    assert_eq!(home.run(&["keys", "revoke", "nobody"]).code, 2);
    served.signal("TERM");
    assert_eq!(served.finish().code, 0);

    let refusals = postgres::texts_now(
        &dsn,
        "SELECT arguments ->> 'count' FROM pgrecall.audit_log WHERE tool = 'authenticate' AND arguments ->> 'reason' = 'invalid'",
    );
    let counts: Vec<u64> = refusals.iter().map(|count| count.parse().expect("a number")).collect();
    assert!(counts.len() <= 4 && counts.iter().sum::<u64>() == 500, "{counts:?}");
    let of_key = noted(&dsn, "tenant_id = 'acme' AND caller LIKE 'key %'");
    let expected = [
        "key 1 resources/list forbidden",
        "key 1 resources/read forbidden",
        "key 1 prompts/list forbidden",
        "key 1 prompts/get forbidden",
        "key 1 completion/complete forbidden",
        "key 1 (unknown) refused",
        "key 1 memory_remember ok",
    ];
    assert_eq!(of_key, expected);
    assert_eq!(
        noted(&dsn, "tool LIKE 'cli %'"),
        [
            "local cli keys create ok",
            "local cli remember ok",
            "local cli recall ok",
            "local cli export ok",
            "local cli keys rotate ok",
            "local cli keys revoke ok",
            "local cli keys revoke refused",
        ]
    );
    assert_eq!(noted(&dsn, "tenant_id = 'default' AND tool = 'memory_remember'"), ["local memory_remember ok"]);
    let ids = |of: &str| {
        postgres::texts_now(
            &dsn,
            &format!("SELECT record_ids::text FROM pgrecall.audit_log WHERE {of} AND outcome = 'ok'"),
        )
    };
    let just = |answer: &Value| format!("{{{}}}", answer["id"].as_str().expect("an id"));
    assert_eq!(ids("tool = 'memory_remember' AND tenant_id = 'acme'"), [just(&kept)]);
    assert_eq!(ids("tool = 'memory_remember' AND tenant_id = 'default'"), [just(&own)]);
    assert_ne!(ids("tool = 'cli remember'"), ["{}"]);
    let all = postgres::texts_now(&dsn, "SELECT to_jsonb(a)::text FROM pgrecall.audit_log a").concat();
    for secret in ["sesame", "my secret", "By a command", "pgr_"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[test]
fn a_call_whose_caller_hangs_up_is_noted_once() {
    let dsn = postgres::database_now();
    let home = home(&dsn, "");
    let served = Served::ready(&home);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let (holder, _serving) = runtime.block_on(async {
        let (client, connection) = Dsn::parse(&dsn).expect("a DSN").connect().await.expect("Postgres answers");
        let serving = pgrecall_process::tasks::connection("test-holds", connection);
        let lock = "BEGIN; LOCK TABLE pgrecall.sources IN ACCESS EXCLUSIVE MODE";
        client.batch_execute(lock).await.expect("nobody else holds it");
        (client, serving)
    });
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                         "params": {"name": "memory_remember", "arguments": {"content": "Nobody waits for this."}}});
    let message = message.to_string();
    let mut stream = http::connect(served.address).expect("the server listens");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n",
        message.len()
    );
    stream.write_all((head + &message).as_bytes()).expect("the server reads");
    wait::until("the write waits for the table", || {
        postgres::texts_now(&dsn, "SELECT count(*)::text FROM pg_locks WHERE NOT granted") != ["0"]
    });
    drop(stream);
    runtime.block_on(async { holder.batch_execute("ROLLBACK").await.expect("it was begun") });
    wait::until("it is noted", || noted(&dsn, "tool = 'memory_remember'").len() == 1);
    // The write itself may or may not have been committed; the entry says which.
    let noted = noted(&dsn, "tool = 'memory_remember'").remove(0);
    let stored = postgres::texts_now(&dsn, "SELECT count(*)::text FROM pgrecall.sources").remove(0);
    assert!(noted.ends_with("cancelled") || (noted.ends_with("ok") && stored == "1"), "{noted}, {stored} stored");
}
