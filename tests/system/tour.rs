//! The blocks of docs/use/tour.md match the output of the program.
//!
//! The test runs the page's blocks from top to bottom in a home of its own. A `console` block has
//! commands after `$ ` and their output. A block `json call TOOL` or `json request METHOD` has a
//! host's message, and the `json` block after it the answer. A block `LANGUAGE file NAME` is a file,
//! which the test writes into the folder of the commands. Ids, times and paths differ between runs:
//! the page calls ids `id-1`, `id-2`, … in the order in which they first appear, in messages and in
//! answers. Scores may differ a little between machines. To update the page: UPDATE_DOCS=1 cargo
//! test -p system-tests --test system tour

use std::collections::HashMap;
use std::path::PathBuf;

use pgrecall_harness::home::Home;
use pgrecall_harness::mcp::Host;
use regex::Regex;
use serde_json::Value;

/// A part of the page.
enum Part {
    Text(String),
    Console(String),
    /// A file, and its block's heading.
    File {
        heading: String,
        name: String,
        content: String,
    },
    /// A message, its block's heading, and the answer.
    Sent {
        heading: String,
        sent: String,
        answered: String,
    },
}

fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = page.lines().peekable();
    let mut text = String::new();
    let block = |lines: &mut std::iter::Peekable<std::str::Lines<'_>>| -> String {
        lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect()
    };
    while let Some(line) = lines.next() {
        let heading = line.strip_prefix("```").unwrap_or_default();
        if heading == "console" {
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Console(block(&mut lines)));
        } else if let Some((_, name)) = heading.split_once(" file ") {
            parts.push(Part::Text(std::mem::take(&mut text)));
            let (heading, name) = (heading.to_owned(), name.to_owned());
            parts.push(Part::File { heading, name, content: block(&mut lines) });
        } else if heading.starts_with("json ") {
            parts.push(Part::Text(std::mem::take(&mut text)));
            let sent = block(&mut lines);
            while lines.next_if(|line| *line != "```json").is_some() {}
            lines.next();
            parts.push(Part::Sent { heading: heading.to_owned(), sent, answered: block(&mut lines) });
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    parts.push(Part::Text(text));
    parts
}

/// Stable names for the values that differ between runs.
struct Names {
    uuid: Regex,
    time: Regex,
    cursor: Regex,
    worker: Regex,
    known: Vec<String>,
    places: HashMap<String, &'static str>,
}

impl Names {
    fn new(home: &Home) -> Self {
        let program = home.command("mcp-server", &[]).get_program().to_string_lossy().into_owned();
        let folder = home.folder().to_string_lossy().into_owned();
        let places = HashMap::from([(program, "mcp-server"), (folder, "/home/you")]);
        let regex = |text| Regex::new(text).expect("a regular expression");
        Self {
            uuid: regex(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
            time: regex(r"20\d\d-\d\d-\d\dT[0-9:.]+(Z|\+00:00)"),
            cursor: regex(r"\b[0-9a-f]{32}\b"),
            worker: regex(r"(?m)^(worker +)\S+:"),
            known: Vec::new(),
            places,
        }
    }

    /// Converts a program's output to the page's form.
    fn told(&mut self, said: &str) -> String {
        let mut told = said.to_owned();
        for (place, name) in &self.places {
            told = told.replace(place, name);
        }
        for found in self.uuid.find_iter(&told) {
            if !self.known.iter().any(|known| known == found.as_str()) {
                self.known.push(found.as_str().to_owned());
            }
        }
        for (number, known) in self.known.iter().enumerate() {
            told = told.replace(known, &format!("id-{}", number + 1));
        }
        let told = self.cursor.replace_all(&told, "…");
        let told = self.worker.replace_all(&told, "${1}your-machine:");
        self.time.replace_all(&told, "…").into_owned()
    }

    /// Converts a message of the page to the form that the program expects.
    fn meant(&self, written: &str) -> String {
        let mut meant = written.to_owned();
        for (number, known) in self.known.iter().enumerate().rev() {
            meant = meant.replace(&format!("id-{}", number + 1), known);
        }
        meant
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell finds its other programs where the tests do")]
fn console(home: &Home, block: &str, names: &mut Names) -> String {
    let mut told = String::new();
    for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let program = home.command("mcp-server", &[]);
        let folder = PathBuf::from(program.get_program()).parent().expect("it lies in a folder").to_owned();
        let mut shell = std::process::Command::new("bash");
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        let said = shell
            .args(["-c", &format!("{{ {}; }} 2>&1", names.meant(command))])
            .env("PATH", path)
            .env("PGRECALL_LOG", "off")
            .current_dir(home.folder())
            .output()
            .expect("bash runs");
        let said = names.told(&String::from_utf8_lossy(&said.stdout));
        told.push_str(&format!("$ {command}\n"));
        told.push_str(said.trim_end());
        told.push_str(if said.trim().is_empty() { "" } else { "\n" });
    }
    told
}

fn ask(host: &mut Host, heading: &str, sent: &str, names: &mut Names) -> String {
    let sent: Value = serde_json::from_str(&names.meant(sent)).unwrap_or_else(|error| panic!("{sent}: {error}"));
    let answer = match heading.split(' ').collect::<Vec<_>>()[..] {
        ["json", "call", tool] => {
            let called = host.call(tool, sent);
            match called["isError"] == true {
                true => called["content"][0]["text"].clone(),
                false => called["structuredContent"].clone(),
            }
        }
        ["json", "request", method] => host.request(method, sent)["result"].clone(),
        _ => panic!("a block of the tour begins with `{heading}`"),
    };
    // The next part of the page expects everything to be embedded.
    host.wait_embedded();
    names.told(&format!("{}\n", serde_json::to_string_pretty(&answer).expect("JSON")))
}

/// Returns whether two texts are equal, except for small differences in numbers with a fraction.
fn alike(one: &str, other: &str) -> bool {
    let number = Regex::new(r"\d+\.\d+").expect("a regular expression");
    let words = number.replace_all(one, "#") == number.replace_all(other, "#");
    let numbers =
        |text: &str| number.find_iter(text).filter_map(|found| found.as_str().parse().ok()).collect::<Vec<f64>>();
    words && numbers(one).iter().zip(&numbers(other)).all(|(a, b)| (a - b).abs() < 0.02 + a.abs() * 0.01)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for the person who runs this test")]
fn the_tour_shows_what_the_program_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/use/tour.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let home = Home::new();
    let mut names = Names::new(&home);
    let mut host = home.host();
    let mut now = String::new();
    let mut differ = Vec::new();
    for part in parts(&page) {
        match part {
            Part::Text(text) => now.push_str(&text),
            Part::Console(block) => {
                let told = console(&home, &block, &mut names);
                host.wait_embedded();
                if !alike(&told, &block) {
                    differ.push(told.clone());
                }
                now.push_str(&format!("```console\n{told}```\n"));
            }
            Part::File { heading, name, content } => {
                home.file(&name, &content);
                now.push_str(&format!("```{heading}\n{content}```\n"));
            }
            Part::Sent { heading, sent, answered } => {
                let told = ask(&mut host, &heading, &sent, &mut names);
                if !alike(&told, &answered) {
                    differ.push(told.clone());
                }
                now.push_str(&format!("```{heading}\n{sent}```\n\n```json\n{told}```\n"));
            }
        }
    }
    host.leave();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, now).expect("the page can be written");
        return;
    }
    assert!(
        differ.is_empty(),
        "docs/use/tour.md is not what is said now; see the head of tests/system/tour.rs:\n{}",
        differ.join("\n")
    );
}
