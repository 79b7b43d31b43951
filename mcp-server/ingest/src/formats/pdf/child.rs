//! The parent's side of the process that reads the pages.

use std::{
    io::{self, BufRead, BufReader, Read as _, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Instant,
};

use pgrecall_process::child::Running;
use pgrecall_record::source::MAX_BODY_BYTES;
use rustix::process::Signal;

use super::pages::{Line, TIMEOUT};

/// Number of processes for one file. Each new one continues after the page that killed the last.
const MAX_ENDS: usize = 20;
/// Size limit, in bytes, of one line of the process. A longer line cannot be a page.
const MAX_LINE_BYTES: u64 = 2 * MAX_BODY_BYTES as u64;
/// Least memory for a file, as a multiple of its size: its bytes, and the objects that they
/// describe.
const COPIES: u64 = 2;

/// The result of reading a file.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) title: Option<String>,
    pub(super) texts: Vec<(u32, String)>,
    /// Pages that could not be read, and why.
    pub(super) failed: Vec<(u32, Cause)>,
    /// Pages without text that can be read, most often scanned ones.
    pub(super) scanned: Vec<u32>,
    /// The first page that was not read.
    pub(super) reached: u32,
    pub(super) ended: Ended,
}

/// How reading the file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ended {
    #[default]
    Well,
    Encrypted,
    /// The process ended before its first page, for this reason.
    Before(Cause),
    /// The text exceeds the size limit of a document.
    TooLong,
    /// All processes together took too long, or too many of them died.
    GaveUp,
}

/// Why a page, or the whole file, could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Damaged,
    Memory,
    Time,
}

impl Cause {
    /// Derives the cause from the exit status.
    ///
    /// The process aborts if an allocation fails or the stack overflows, and the kernel kills it if
    /// the system's memory runs out.
    fn of(status: ExitStatus) -> Self {
        match status.signal().and_then(Signal::from_named_raw) {
            Some(Signal::ABORT | Signal::KILL) => Self::Memory,
            Some(Signal::XCPU) => Self::Time,
            _ => Self::Damaged,
        }
    }
}

/// Reads the pages of a PDF with as many processes as it takes, each within `memory` bytes.
pub(super) fn read(bytes: &[u8], memory: u64) -> io::Result<Read> {
    let mut read = Read { reached: 1, ..Read::default() };
    if bytes.len() as u64 * COPIES > memory {
        read.ended = Ended::Before(Cause::Memory);
        return Ok(read);
    }
    let begun = Instant::now();
    for _ in 0..MAX_ENDS {
        let from = read.reached;
        let Some(cause) = run(bytes, memory, &mut read)? else { return Ok(read) };
        // The process died. Before the first page, the file as a whole is the cause; later, the
        // cause is one page, which the next process skips.
        if read.reached == from {
            read.ended = Ended::Before(cause);
            return Ok(read);
        }
        if begun.elapsed() > TIMEOUT {
            break;
        }
    }
    read.ended = Ended::GaveUp;
    Ok(read)
}

/// Runs one process, from page `read.reached` on.
///
/// Returns why it died, or `None` if it came to its end.
fn run(bytes: &[u8], memory: u64, read: &mut Read) -> io::Result<Option<Cause>> {
    let mut child = Running(start(read.reached, memory)?);
    if let Some(mut stdin) = child.0.stdin.take() {
        // A write error means that the process died early, which its missing output shows as well.
        let _ = stdin.write_all(bytes);
    }
    let Some(stdout) = child.0.stdout.take() else { return Ok(Some(Cause::Damaged)) };
    let (at, ended) = take_lines(BufReader::new(stdout), read)?;
    if ended {
        return Ok(None);
    }
    let cause = Cause::of(child.0.wait()?);
    if let Some(page) = at {
        read.reached = page + 1;
        read.failed.push((page, cause));
    }
    Ok(Some(cause))
}

/// Reads the output of a process to its end.
///
/// Returns the page that the process was reading, and whether it finished its work.
fn take_lines(mut lines: impl BufRead, read: &mut Read) -> io::Result<(Option<u32>, bool)> {
    let mut at = None;
    let mut ended = false;
    let mut total: usize = read.texts.iter().map(|(_, text)| text.len()).sum();
    loop {
        let mut line = Vec::new();
        if (&mut lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // A library may write to stdout, so lines of another form are ignored.
        match serde_json::from_slice(&line) {
            Ok(Line::Title(title)) => read.title = read.title.take().or(Some(title)),
            Ok(Line::Page(page)) => at = Some(page),
            Ok(Line::Text(text)) => {
                let page = at.take().unwrap_or(read.reached);
                read.reached = page + 1;
                total += text.len();
                if total > MAX_BODY_BYTES - MAX_BODY_BYTES / 8 {
                    (read.ended, read.reached) = (Ended::TooLong, page);
                    return Ok((None, true));
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
                read.failed.push((page, Cause::Damaged));
            }
            Ok(Line::Encrypted) => (read.ended, ended) = (Ended::Encrypted, true),
            Ok(Line::Damaged) => (read.ended, ended) = (Ended::Before(Cause::Damaged), true),
            Ok(Line::End) => ended = true,
            Err(_) if line.len() as u64 == MAX_LINE_BYTES => {
                read.ended = Ended::TooLong;
                return Ok((None, true));
            }
            Err(_) => {}
        }
    }
    Ok((at, ended))
}

fn start(from: u32, memory: u64) -> io::Result<Child> {
    Command::new(program()?)
        .args(["read-pdf", "--from", &from.to_string(), "--memory", &memory.to_string()])
        // A pool with one thread for each core, each with its stack, would take the memory that the
        // file needs.
        .env("RAYON_NUM_THREADS", "1")
        // A backtrace would load this program's symbols, which take memory too.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// Returns the path of this program, which is valid even if its file was replaced after the start.
fn program() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_whose_line_is_cut_off_is_too_long() {
        let page = b"{\"page\":7}\n".iter().copied();
        let long: Vec<u8> = page.chain(std::iter::repeat_n(b'a', MAX_LINE_BYTES as usize + 1)).collect();
        let mut read = Read::default();
        assert!(take_lines(long.as_slice(), &mut read).unwrap().1);
        assert_eq!(read.ended, Ended::TooLong);
        let mut read = Read::default();
        assert!(!take_lines(&b"a library says something\n"[..], &mut read).unwrap().1);
        assert_eq!(read.ended, Ended::Well);
    }
}
