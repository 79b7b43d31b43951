//! Prints the title and the text of HTML files as JSON lines. `scripts/bench pages` compares them with
//! what a page's body holds.

#![expect(clippy::print_stdout, reason = "stdout is the answer")]

use std::{env, fs, io};

fn main() -> io::Result<()> {
    for path in env::args().skip(1) {
        let page = pgrecall_ingest::html::page(&String::from_utf8_lossy(&fs::read(&path)?));
        println!("{}", serde_json::json!({ "path": path, "title": page.title, "text": page.text }));
    }
    Ok(())
}
