//! Tests of `backup` and `restore` of the private database, and of Postgres' own tools on it.
//!
//! Afterwards the same questions must have the same answers.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use pgrecall_harness::embedder::{Mood, ScriptedEmbedder};
use serde_json::{Value, json};

use crate::home::{Home, text};
use crate::old_home::{self, tool};

/// Fails if a row of a catalog refers to an object that does not exist.
const CATALOGS_AGREE: &str = r"DO $$
DECLARE
    link record;
    ids  text;
    bad  int8;
BEGIN
    FOR link IN SELECT * FROM pg_get_catalog_foreign_keys() WHERE cardinality(fkcols) = 1 LOOP
        ids := CASE WHEN link.is_array THEN format('unnest(%I)', link.fkcols[1]) ELSE format('%I', link.fkcols[1]) END;
        EXECUTE format('SELECT count(*) FROM (SELECT %s AS id FROM %s) f WHERE id <> 0 AND NOT EXISTS (SELECT FROM %s p WHERE p.%I = f.id)',
                       ids, link.fktable, link.pktable, link.pkcols[1]) INTO bad;
        IF bad > 0 THEN
            RAISE EXCEPTION '% rows of % refer to nothing in %', bad, link.fktable, link.pktable;
        END IF;
    END LOOP;
    SELECT count(*) INTO bad FROM pg_depend d WHERE d.refclassid = 'pg_type'::regclass AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = d.refobjid)
        OR d.refclassid = 'pg_extension'::regclass AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.oid = d.refobjid);
    IF bad > 0 THEN
        RAISE EXCEPTION '% dependencies on nothing', bad;
    END IF;
END
$$";

const QUESTIONS: [&str; 3] = ["who owns billing?", "when is the office closed?", "what does Ana lead?"];

/// A private home with vectors in two embedding spaces, pending jobs, and two API keys.
pub(crate) struct Filled {
    pub(crate) home: Home,
    embedder: ScriptedEmbedder,
    config: PathBuf,
}

impl Filled {
    pub(crate) fn new() -> Self {
        let (home, embedder) = (Home::ready(), ScriptedEmbedder::start());
        let config = home.file("config.yaml", settings(&embedder, "scripted"));
        let it = Self { home, embedder, config };
        for content in
            ["Ana owns the billing service.", "The office is closed on Fridays.", "Ana leads the payments team."]
        {
            it.json(&["remember", content, "--json"]);
        }
        std::fs::write(&it.config, settings(&it.embedder, "scripted-96")).unwrap();
        assert_eq!(it.json(&["reindex", "--model", "scripted-96", "--json"])["active"], true);
        it.embedder.set(Mood::Away);
        assert_eq!(it.json(&["remember", "The office moved to Lisbon.", "--json"])["embedding"], "pending");
        it.embedder.set(Mood::Well);
        for name in ["ana", "bo"] {
            it.json(&["keys", "create", name, "--json"]);
        }
        it
    }

    /// Runs a command with the home's configuration.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.json_in(&self.home, arguments)
    }

    /// Runs a command with the home's configuration in another home.
    pub(crate) fn json_in(&self, home: &Home, arguments: &[&str]) -> Value {
        home.json(&[&["--config", text(&self.config)], arguments].concat())
    }

    /// Returns the answers to the questions, and the state of the queue.
    pub(crate) fn answers(&self) -> Value {
        self.answers_in(&self.home)
    }

    pub(crate) fn answers_in(&self, home: &Home) -> Value {
        let ask = |question: &&str| self.json_in(home, &["recall", question, "--json"])["memories"].clone();
        let answers: Vec<Value> = QUESTIONS.iter().map(ask).collect();
        assert!(answers.iter().all(|memories| memories.as_array().is_some_and(|it| !it.is_empty())), "{answers:?}");
        let status = self.json_in(home, &["status", "--json"]);
        assert_eq!((&status["pending"], &status["succeeded"]), (&json!(1), &json!(3)), "{status}");
        json!({"answers": answers, "kinds": status["kinds"], "dimension": status["dimension"]})
    }

    pub(crate) fn backup(&self) -> PathBuf {
        let file = self.home.files().join("all.dump");
        self.json(&["backup", text(&file), "--json"]);
        file
    }
}

fn settings(embedder: &ScriptedEmbedder, model: &str) -> String {
    let url = embedder.url();
    format!("memory:\n  embedding:\n    provider: openai\n    openai: {{ url: \"{url}\", model: {model} }}\n")
}

/// The private Postgres of a home, held open by `backup --print-dsn`.
pub(crate) struct Open {
    pub(crate) dsn: String,
    child: Child,
}

impl Open {
    pub(crate) fn new(home: &Home) -> Self {
        let mut command = home.command(&["backup", "--print-dsn"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut dsn = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut dsn).unwrap();
        Self { dsn: dsn.trim().to_owned(), child }
    }

    /// Runs a statement, and returns its rows, one a line.
    pub(crate) fn ask(&self, statement: &str) -> String {
        tool("psql", &["-AtqX", "-v", "ON_ERROR_STOP=1", "-d", &self.dsn, "-c", statement]).trim().to_owned()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

#[test]
fn what_was_backed_up_answers_the_same_in_another_home_where_its_keys_are_revoked() {
    let it = Filled::new();
    let before = it.answers();
    let file = it.home.files().join("all.dump");
    let written = it.json(&["backup", text(&file), "--json"]);
    let rows = &written["rows"];
    assert_eq!(
        (&rows["pgrecall.sources"], &rows["pgrecall.index_jobs"], &rows["pgrecall.api_keys"]),
        (&json!(4), &json!(1), &json!(2))
    );
    assert_eq!((&rows["pgrecall.vectors_1"], &rows["pgrecall.vectors_2"]), (&json!(3), &json!(3)), "{rows}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "nobody else reads it");
    let around: Vec<_> = std::fs::read_dir(it.home.files()).unwrap().flatten().map(|it| it.file_name()).collect();
    assert_eq!(around.len(), 2, "no part of it is left: {around:?}");

    let other = Home::ready();
    let restored = it.json_in(&other, &["restore", text(&file), "--json"]);
    assert_eq!((&restored["keys"], &restored["keys_kept"]), (&json!(["ana", "bo"]), &json!(false)), "{restored}");
    let active = restored["spaces"].as_array().unwrap().iter().find(|space| space["state"] == "active").unwrap();
    assert_eq!((&active["model"], &active["dimension"]), (&json!("openai/scripted-96"), &json!(96)));
    assert_eq!(it.answers_in(&other), before);
    assert_eq!(it.json_in(&other, &["keys", "list", "--json"])["count"], 0, "another installation's keys open nothing");
    // The restored database works: a new memory is embedded.
    assert_eq!(it.json_in(&other, &["remember", "Bo joined in May.", "--json"])["embedding"], "done");
    let kept = it.json_in(&Home::ready(), &["restore", text(&file), "--keep-keys", "--json"]);
    assert_eq!(kept["keys_kept"], true);
}

#[test]
fn a_restore_replaces_nothing_unless_told_to_and_then_keeps_the_old_database() {
    let it = Filled::new();
    let (before, file) = (it.answers(), it.backup());
    let refused = it.home.run(&["restore", text(&file)]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("--replace"), "{}", refused.stderr);

    // A file that was cut off is refused, and the database stays as it was.
    let whole = std::fs::read(&file).unwrap();
    let half = it.home.file("half.dump", &whole[..whole.len() / 2]);
    let refused = it.home.run(&["restore", text(&half), "--replace"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("pg_restore failed"), "{}", refused.stderr);
    assert_eq!(it.answers(), before);

    it.json(&["remember", "This is no fact, and not in the backup.", "--json"]);
    // A restore must not revive a revoked key, nor prolong the grace period of a replaced one.
    it.json(&["keys", "revoke", "ana", "--json"]);
    it.json(&["keys", "rotate", "bo", "--grace", "5m", "--json"]);
    let restored = it.json(&["restore", text(&file), "--replace", "--json"]);
    assert_eq!(restored["keys_kept"], true, "the backup is of this very database: {restored}");
    assert_eq!((&restored["keys"], &restored["ended_keys"]), (&json!(["bo"]), &json!(["ana"])), "{restored}");
    assert_eq!(it.answers(), before);
    let keys = it.json(&["keys", "list", "--json"]);
    assert_eq!((&keys["count"], &keys["keys"][0]["ends_soon"]), (&json!(1), &json!(true)), "{keys}");
    let kept = Path::new(restored["kept"].as_str().unwrap());
    assert!(kept.join("PG_VERSION").is_file() && kept.starts_with(it.home.folder()), "{restored}");
    assert!(!it.home.folder().join("postgres.next").exists());
}

#[test]
fn a_backup_that_cannot_be_written_or_has_nothing_to_hold_leaves_no_file() {
    let home = Home::ready();
    let file = home.files().join("all.dump");
    let nothing = home.run(&["backup", text(&file)]);
    assert_eq!(nothing.code, 1);
    assert!(nothing.stderr.contains("there is no database"), "{}", nothing.stderr);
    assert!(!home.folder().join("postgres").exists(), "a backup makes no database");
    home.json(&["status", "--json"]);
    assert_eq!(home.run(&["backup", "/nonexistent/folder/all.dump"]).code, 1);
    let used = home.file("folder/used", "");
    let folder = home.run(&["backup", text(used.parent().unwrap())]);
    assert!(folder.stderr.contains("name the file"), "{}", folder.stderr);
    assert_eq!(std::fs::read_dir(home.files()).unwrap().count(), 1);
}

#[test]
fn a_backup_removes_the_parts_that_killed_ones_have_left_and_no_other_file() {
    let home = Home::ready();
    home.json(&["status", "--json"]);
    let [killed, running, other] =
        ["all.dump.part-1", "all.dump.part-2", "other.dump.part-3"].map(|it| home.file(it, ""));
    let (file, link) = (home.files().join("all.dump"), home.files().join("all.dump.part-4"));
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let locked = std::fs::File::open(&running).unwrap();
    locked.lock().unwrap();
    home.json(&["backup", text(&file), "--json"]);
    assert!(!killed.exists());
    assert!(running.exists() && other.exists() && link.is_symlink() && file.exists());
}

#[test]
fn postgres_own_tools_dump_the_private_database_and_restore_it() {
    let it = Filled::new();
    let open = Open::new(&it.home);
    let file = it.home.files().join("plain.sql");
    tool("pg_dump", &["-d", &open.dsn, "-f", text(&file)]);
    let sql = std::fs::read_to_string(&file).unwrap();
    assert!(sql.contains("CREATE EXTENSION IF NOT EXISTS vector"), "without it no table of vectors can be made");
    let count = "SELECT (SELECT count(*) FROM pgrecall.sources), (SELECT count(*) FROM pgrecall.vectors_1), \
                 (SELECT count(*) FROM pgrecall.vectors_2), (SELECT count(*) FROM pgrecall.index_jobs)";
    let there = open.ask(count);
    open.ask("CREATE DATABASE copied");
    let copied = open.dsn.replace("dbname=pgrecall", "dbname=copied");
    tool("psql", &["-qX", "-v", "ON_ERROR_STOP=1", "-d", &copied, "-f", text(&file)]);
    assert_eq!(tool("psql", &["-AtqX", "-d", &copied, "-c", count]).trim(), there);
    assert_eq!(there, "4|3|3|1");
}

#[test]
fn an_old_home_is_repaired_on_its_next_start_and_keeps_its_vectors() {
    let it = Filled::new();
    let (before, file) = (it.answers(), it.backup());
    let old = Home::ready();
    old_home::make(&old.folder(), &file);
    let first = old.run(&["status"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stderr.contains("the object ids of pgvector's extension were repaired"), "{}", first.stderr);
    assert!(first.stderr.contains("enabling page checksums"), "{}", first.stderr);
    let second = old.run(&["status"]);
    assert!(!second.stderr.contains("repaired") && !second.stderr.contains("checksums"), "once: {}", second.stderr);
    assert_eq!(it.answers_in(&old), before);

    let open = Open::new(&old);
    assert_eq!(open.ask("SHOW data_checksums"), "on");
    let low = "SELECT count(*) FROM pg_extension e WHERE e.extname = 'vector' AND e.oid < 16384 UNION ALL \
               SELECT count(*) FROM pg_type WHERE typname ~ '^_?(vector|halfvec|sparsevec)$' AND oid < 16384";
    assert_eq!(open.ask(low), "0\n0");
    open.ask(CATALOGS_AGREE);
    assert_eq!(open.ask("SELECT note FROM made_last"), "kept");
    // The index is used, and the types work in new tables, expressions and arrays.
    let nearest = "SET enable_seqscan = off; SELECT passage = 1 FROM pgrecall.vectors_2 ORDER BY embedding <=> \
                   (SELECT embedding FROM pgrecall.vectors_2 WHERE passage = 1) LIMIT 1";
    assert_eq!(open.ask(nearest), "t");
    assert_eq!(open.ask("CREATE TABLE t (v vector(2)); INSERT INTO t VALUES ('[1,2]'); SELECT array_agg(v::halfvec) FROM t; DROP TABLE t"), "{\"[1,2]\"}");
    drop(open);
    // A dump of the repaired database is complete, and so is the database that pg_upgrade makes of
    // it.
    let copy = it.json_in(&old, &["backup", text(&old.file("again.dump", "")), "--json"]);
    assert_eq!(copy["rows"]["pgrecall.vectors_1"], 3);
    let third = Home::ready();
    it.json_in(&third, &["restore", text(&old.files().join("again.dump")), "--json"]);
    assert_eq!(it.answers_in(&third), before);
    assert_eq!(it.json_in(&old, &["upgrade-postgres", "--json"])["to"], 18);
    assert_eq!(it.answers_in(&old), before);
}

#[test]
fn a_backup_that_could_not_be_restored_is_refused_while_an_older_program_serves_the_home() {
    let it = Filled::new();
    let file = it.backup();
    let old = Home::ready();
    old_home::make(&old.folder(), &file);
    let served = old_home::Served::start(&old.folder());
    let again = old.file("again.dump", "");
    let refused = old.run(&["backup", text(&again)]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("run the backup again"), "{}", refused.stderr);
    drop(served);
    let written = old.json(&["backup", text(&again), "--json"]);
    assert_eq!(written["rows"]["pgrecall.sources"], 4);
}

#[test]
fn a_damaged_page_is_not_answered_and_doctor_names_it() {
    let it = Filled::new();
    let open = Open::new(&it.home);
    let path = open.ask("SELECT pg_relation_filepath('pgrecall.sources')");
    assert_eq!(open.ask("SHOW data_checksums"), "on");
    drop(open);
    let healthy = it.home.run(&["--config", text(&it.config), "doctor"]);
    assert!(healthy.stdout.contains("pages match their checksums"), "{}", healthy.stdout);

    let file = it.home.folder().join("postgres").join(path);
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(7).position(|window| window == b"billing").expect("the text is in the heap");
    bytes[at..at + 7].copy_from_slice(b"gardens");
    std::fs::File::options().write(true).open(&file).unwrap().write_all(&bytes).unwrap();

    let said = it.home.run(&["--config", text(&it.config), "recall", "who owns billing?"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(!said.stdout.contains("gardens"), "{}", said.stdout);
    assert!(
        said.stderr.contains("its files are damaged") && said.stderr.contains("mcp-server doctor"),
        "{}",
        said.stderr
    );
    let ill = it.home.run(&["--config", text(&it.config), "doctor"]);
    assert_eq!(ill.code, 1);
    assert!(ill.stdout.contains("FAIL  files") && ill.stdout.contains("mcp-server restore"), "{}", ill.stdout);
    // While the database is in use, doctor reads its tables instead of its files.
    let _open = Open::new(&it.home);
    let ill = it.home.run(&["--config", text(&it.config), "doctor"]);
    assert!(ill.stdout.contains("FAIL  files") && ill.stdout.contains("invalid page"), "{}", ill.stdout);
}
