//! The process that reads the pages, seen from outside.

use std::{
    io::{self, BufRead, BufReader, Read as _, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};

use shared::source::MAX_BODY_BYTES;

use super::pages::{Line, TIME};

/// Times that reading goes on behind a page that ended its process.
const MAX_ENDS: usize = 20;
/// Bytes of one line: a page that is longer is no page.
const MAX_LINE_BYTES: u64 = 4 * MAX_BODY_BYTES as u64;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) title: Option<String>,
    pub(super) texts: Vec<(u32, String)>,
    /// Pages that could not be read.
    pub(super) failed: Vec<u32>,
    /// Pages that hold pictures only.
    pub(super) scanned: Vec<u32>,
    /// The first page that was not read.
    pub(super) reached: u32,
    pub(super) ended: Ended,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ended {
    #[default]
    Well,
    Encrypted,
    Damaged,
    TookTooMuch,
    TooLong,
}

/// Reads the pages of these bytes, by as many processes as it takes.
pub(super) fn read(bytes: Vec<u8>) -> io::Result<Read> {
    let mut read = Read { reached: 1, ..Read::default() };
    let begun = Instant::now();
    for _ in 0..MAX_ENDS {
        let from = read.reached;
        if run(&bytes, &mut read)? {
            return Ok(read);
        }
        // It died: before the first page on the file as a whole, and later on one page, which the next one passes over.
        if read.reached == from && read.texts.is_empty() && read.failed.is_empty() {
            read.ended = Ended::Damaged;
            return Ok(read);
        }
        if begun.elapsed() > TIME {
            break;
        }
    }
    read.ended = Ended::TookTooMuch;
    Ok(read)
}

/// One process, from `read.reached` on. Returns whether it came to its end.
fn run(bytes: &[u8], read: &mut Read) -> io::Result<bool> {
    let mut child = Running(start(read.reached)?);
    if let Some(mut stdin) = child.0.stdin.take() {
        // One that died before it had read all says so by its silence.
        let _ = stdin.write_all(bytes);
    }
    let Some(stdout) = child.0.stdout.take() else { return Ok(false) };
    let mut lines = BufReader::new(stdout);
    let mut at = None;
    let mut ended = false;
    let mut total: usize = read.texts.iter().map(|(_, text)| text.len()).sum();
    loop {
        let mut line = Vec::new();
        if lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // A library that writes to stdout is not listened to.
        match serde_json::from_slice(&line) {
            Ok(Line::Title(title)) => read.title = read.title.take().or(Some(title)),
            Ok(Line::Page(page)) => at = Some(page),
            Ok(Line::Text(text)) => {
                let page = at.take().unwrap_or(read.reached);
                read.reached = page + 1;
                total += text.len();
                if total > MAX_BODY_BYTES - MAX_BODY_BYTES / 8 {
                    (read.ended, read.reached) = (Ended::TooLong, page);
                    return Ok(true);
                }
                if !text.trim().is_empty() {
                    read.texts.push((page, text));
                }
            }
            Ok(Line::Scanned) => {
                let page = at.take().unwrap_or(read.reached);
                read.reached = page + 1;
                read.scanned.push(page);
            }
            Ok(Line::Failed) => {
                let page = at.take().unwrap_or(read.reached);
                read.reached = page + 1;
                read.failed.push(page);
            }
            Ok(Line::Encrypted) => (read.ended, ended) = (Ended::Encrypted, true),
            Ok(Line::Damaged) => (read.ended, ended) = (Ended::Damaged, true),
            Ok(Line::End) => ended = true,
            Err(_) => {}
        }
    }
    if let Some(page) = at.filter(|_| !ended) {
        read.reached = page + 1;
        read.failed.push(page);
    }
    Ok(ended)
}

fn start(from: u32) -> io::Result<Child> {
    Command::new(program()?)
        .args(["read-pdf", "--from", &from.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// This program, also when its file was replaced meanwhile.
fn program() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// A process that does not outlive whoever waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for one that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
