//! Tests of files of every format, with the real program.

use std::{
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    process::{Command, Output, Stdio},
};

use pgrecall_generators::mutate::cases;
use pgrecall_harness::pdf::{Page, pdf};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Value, json};

use crate::home::{Home, text};

const SHOP: &str = "openapi: 3.1.0\ninfo: {title: Shop}\npaths:\n  /orders/{id}:\n    get:\n      summary: Find one order\n\
    \x20     responses: {200: {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}}\n\
    components: {schemas: {Order: {type: object, properties: {refunded: {type: boolean}}}}}\n";
const TOOLS: &str =
    r#"{"tools": [{"name": "weather", "description": "Tells the weather.", "inputSchema": {"type": "object"}}]}"#;
const PROMPTS: &str = r#"{"prompts": [{"name": "greet", "description": "Greets somebody.", "text": "Hello!"}]}"#;

#[test]
fn a_folder_of_everything_goes_in() {
    let home = Home::ready();
    home.file("all/page.html", "<title>Holidays</title><nav>Menu</nav><h1>Leave</h1><p>Thirty days a year.");
    let pages = [Page::Text("The boiler is serviced in May."), Page::Broken, Page::Text("The lift in June.")];
    home.file("all/house.pdf", pdf("House book", &pages));
    home.file("all/shop.yaml", SHOP);
    home.file("all/tools.json", TOOLS);
    home.file("all/prompts.json", PROMPTS);
    home.file("all/package.json", r#"{"name": "x", "version": "1.0.0"}"#);
    home.file("all/archive.zip", b"PK\x03\x04\0\0");

    let said = home.run(&["ingest", text(&home.files().join("all")), "--json"]);
    assert_eq!(said.code, 1, "a page is damaged: {}", said.stderr);
    assert!(said.stderr.contains("house.pdf, page 2: "), "{}", said.stderr);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&report["created"], &report["other_files"]), (&json!(5), &json!(2)), "{report}");

    let first = |query: &str| home.json(&["search", query, "--json"])["results"][0].clone();
    assert_eq!(first("when is the elevator maintained?")["title"], "House book");
    assert_eq!(first("vacation days")["title"], "Holidays");
    let order = first("find an order");
    assert_eq!(order["title"], "GET /orders/{id}: Find one order");
    let ends = |result: &Value, end: &str| result["key"].as_str().unwrap().ends_with(end);
    assert!(ends(&order, "/all/shop.yaml#GET /orders/{id}"), "{order}");
    assert!(ends(&first("weather"), "/all/tools.json#weather"));
    assert!(ends(&first("greet somebody"), "/all/prompts.json#greet"));

    let exported = home.run(&["export"]);
    let records: Vec<Value> = exported.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shop = records.iter().find(|record| record["key"] == order["key"]).unwrap();
    assert_eq!((&shop["kind"], &shop["collection"]), (&json!("api_operation"), &json!("Shop")));
    let schema = &shop["details"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(schema["properties"]["refunded"]["type"], "boolean", "{shop}");

    for (name, why) in [("archive.zip", "unpack it first"), ("package.json", "OpenAPI")] {
        let said = home.run(&["ingest", text(&home.files().join("all").join(name))]);
        assert_eq!(said.code, 1);
        assert!(said.stderr.contains(why), "{}", said.stderr);
    }
}

#[test]
fn two_inputs_of_one_run_do_not_replace_each_other_unnoticed() {
    let home = Home::ready();
    home.file("apis/v1.yaml", SHOP);
    home.file("apis/v2.yaml", SHOP.replace("Find one order", "Find one order in the new way"));
    home.file("a/tools.json", TOOLS);
    home.file("b/tools.json", TOOLS);
    home.file("lines/one.jsonl", "{\"_id\": \"x\", \"text\": \"one\"}\n");
    home.file("lines/two.jsonl", "\n{\"_id\": \"x\", \"text\": \"two\"}\n");
    let note = home.file("note.md", "A note.\n");
    let folders = ["apis", "a", "b", "lines"].map(|name| home.files().join(name));
    let mut arguments = vec!["ingest", "--json", "--no-wait", "--collection", "all", text(&note), text(&note)];
    arguments.extend(folders.iter().map(|folder| text(folder)));
    let said = home.run(&arguments);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&report["created"], &report["replaced"]), (&json!(6), &json!(1)), "{report}");
    let of_lines =
        said.stderr.lines().find(|line| line.contains("two.jsonl:2")).unwrap_or_else(|| panic!("{}", said.stderr));
    assert!(of_lines.contains("one.jsonl:1"), "{of_lines}");
    assert!(said.stderr.contains("named twice"), "{}", said.stderr);
}

#[test]
fn stdin_is_a_file_too() {
    let home = Home::ready();
    let lines = "{\"_id\": \"a\", \"text\": \"The first letter.\"}\n{\"text\": \"No name.\"}\n";
    let report = home.json_with_stdin(&["ingest", "-", "--json"], lines);
    assert_eq!(report["created"], 2, "{report}");
    assert_eq!(home.json_with_stdin(&["ingest", "-", "--json"], lines)["unchanged"], 2);
    let prompt = "---\nname: greet\n---\nSay hello.\n";
    let report = home.json_with_stdin(&["ingest", "-", "--format", "markdown", "--as", "prompt", "--json"], prompt);
    assert_eq!(report["created"], 1, "{report}");
    let page = "<title>Leave</title><p>Thirty days.";
    assert_eq!(home.json_with_stdin(&["ingest", "-", "--format", "html", "--json"], page)["created"], 1);
    assert_eq!(home.json_with_stdin(&["ingest", "-", "--format", "openapi", "--json"], SHOP)["created"], 1);
    assert_eq!(home.json(&["search", "say hello", "--json"])["results"][0]["title"], "greet");
}

#[test]
fn a_pdf_that_ends_its_reader_is_named_and_the_others_go_in() {
    let home = Home::ready();
    let good = pdf("Good", &[Page::Text("The boiler is serviced in May."), Page::Text("The lift in June.")]);
    home.file("pdfs/good.pdf", &good);
    // Pseudorandom numbers that are the same in each run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for number in 0..16 {
        let mut bytes = good.clone();
        for _ in 0..1 + number {
            let at = 9 + next(bytes.len() - 9);
            bytes[at] = next(256) as u8;
        }
        home.file(&format!("pdfs/broken-{number:02}.pdf"), bytes);
    }
    home.file("pdfs/cut.pdf", &good[..good.len() / 2]);
    // A page whose parent is itself: a reader that searches the parents for inherited attributes
    // overflows its stack.
    let parent = "/Parent 2 0 R /MediaBox [0 0 612 792]";
    let own = format!("{:width$}", "/Parent 5 0 R", width = parent.len());
    let looped = String::from_utf8(good).unwrap().replacen(parent, &own, 1);
    home.file("pdfs/loop.pdf", looped);

    let folder = home.files().join("pdfs");
    let said = home.run(&["ingest", "--no-wait", "--json", text(&folder)]);
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.stderr));
    assert_eq!(report["files"], 19, "{report}");
    assert!(report["created"].as_u64().unwrap() >= 1 && !said.stderr.contains("inside pgrecall"), "{}", said.stderr);
    assert!(said.stderr.contains("loop.pdf, page 1: "), "{}", said.stderr);
    let found = home.json(&["search", "boiler", "--json"]);
    assert!(found["results"].as_array().unwrap().iter().any(|result| result["title"] == "Good"), "{found}");
}

/// Returns the peak of a process's anonymous memory, its output and its exit status.
///
/// The pages of its program file do not count: the kernel can drop them, and a debug build has a
/// hundred megabytes of them.
fn peak_of(home: &Home, arguments: &[&str], stdin: &[u8]) -> (u64, Output) {
    let mut child =
        home.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // The file exists until the process is waited for, and has no `RssAnon` once the process has
    // ended.
    while let Some(line) = fs::read_to_string(&status).unwrap().lines().find(|line| line.starts_with("RssAnon:")) {
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        peak = peak.max(kib * 1024);
        std::thread::yield_now();
    }
    (peak, child.wait_with_output().unwrap())
}

#[test]
fn a_pdf_that_unfolds_stays_within_its_memory_and_is_named_with_it() {
    let home = Home::ready();
    let bomb = |bytes| pdf("Bomb", &[Page::Text("Before."), Page::Bomb(bytes), Page::Text("After.")]);
    let file = bomb(200 * 1024 * 1024);
    assert!(file.len() < 250 * 1024, "{}", file.len());
    let memory = 256 * 1024 * 1024;
    let (peak, ended) = peak_of(&home, &["read-pdf", "--memory", &memory.to_string()], &file);
    assert!((16 * 1024 * 1024..memory).contains(&peak), "{peak}");
    assert_eq!(ended.status.signal(), Some(6), "{ended:?}");
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(said.contains("Before.") && said.trim_end().ends_with("{\"page\":2}"), "{said}");

    let file = home.file("bomb.pdf", bomb(50 * 1024 * 1024));
    let said = home.run(&["ingest", "--no-wait", "--json", text(&file)]);
    assert!(said.stderr.contains("bomb.pdf, page 2: reading the page needs more memory than the "), "{}", said.stderr);
    let stored = home.run(&["export"]).stdout;
    assert!(stored.contains("Before.") && stored.contains("After."), "{stored}");
}

proptest! {
    #![proptest_config(cases(32))]

    /// The library may overflow its stack even on a small file, so it runs in a process of its own.
    ///
    /// That process may die by a signal, but each line that it has written before is complete.
    #[test]
    fn any_pdf_that_is_nearly_right_is_lines_of_json(edits in vec((any::<Index>(), any::<u8>()), 0..8)) {
        let mut file = pdf("Good", &[Page::Text("One."), Page::Picture, Page::Text("Two.")]);
        for (at, byte) in edits {
            let at = 9 + at.index(file.len() - 9);
            file[at] = byte;
        }
        let mut reader = Command::new(env!("CARGO_BIN_EXE_mcp-server"));
        reader.args(["read-pdf", "--memory", "268435456"]).env("RUST_BACKTRACE", "0");
        let mut reader = reader.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        reader.stdin.take().unwrap().write_all(&file).unwrap();
        let ended = reader.wait_with_output().unwrap();
        prop_assert!(ended.status.success() || ended.status.signal().is_some(), "{:?}", ended.status);
        let said = String::from_utf8(ended.stdout).unwrap();
        let whole = said.rsplit_once('\n').map_or("", |(lines, _)| lines);
        prop_assert!(whole.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{said}");
    }
}
