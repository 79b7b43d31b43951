//! Parses the client's side of the Postgres protocol as far as it tells which statement runs.

use std::collections::HashMap;

/// The codes of SSLRequest and GSSENCRequest, which may come before the startup message.
const ASKS_FOR_ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

/// The parser of one client's messages, from the start of the connection.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    /// The beginning of an incomplete message.
    rest: Vec<u8>,
    greeted: bool,
    prepared: HashMap<Vec<u8>, String>,
    in_transaction: bool,
    /// The text of the last bound statement.
    last: String,
}

/// A statement that is about to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The statement's text. A COMMIT is followed by the text of the statement before it.
    pub(super) text: String,
    /// Whether its effects are committed when it ends: a COMMIT, or a named prepared statement
    /// outside a transaction.
    pub(super) commits: bool,
}

impl Spoken {
    /// Parses a piece, which may end in the middle of a message, and returns the statements in it.
    pub(super) fn hear(&mut self, piece: &[u8]) -> Vec<Run> {
        self.rest.extend(piece);
        let mut runs = Vec::new();
        while let Some((kind, body)) = self.next() {
            match kind {
                b'P' => {
                    let (name, rest) = word(&body);
                    let text = String::from_utf8_lossy(word(rest).0).into_owned();
                    self.prepared.insert(name.to_vec(), text);
                }
                b'B' => {
                    let name = word(word(&body).1).0;
                    let text = self.prepared.get(name).cloned().unwrap_or_default();
                    self.last.clone_from(&text);
                    runs.push(Run { text, commits: !self.in_transaction && !name.is_empty() });
                }
                b'Q' => {
                    let text = String::from_utf8_lossy(word(&body).0).into_owned();
                    let commits = text == "COMMIT";
                    match text.as_str() {
                        "BEGIN" => self.in_transaction = true,
                        "COMMIT" | "ROLLBACK" => self.in_transaction = false,
                        _ => {}
                    }
                    let text = if commits { format!("COMMIT\n{}", self.last) } else { text };
                    runs.push(Run { text, commits });
                }
                _ => {}
            }
        }
        runs
    }

    /// Returns the next complete message: its kind, which is 0 before the startup message, and its
    /// body.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = usize::from(self.greeted);
        let length = self.rest.get(head..head + 4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        if self.rest.len() < head + length {
            return None;
        }
        let message: Vec<u8> = self.rest.drain(..head + length).collect();
        let kind = if self.greeted { message[0] } else { 0 };
        let body = message[head + 4..].to_vec();
        if !self.greeted {
            let code = body.first_chunk().map(|code| u32::from_be_bytes(*code));
            self.greeted = code.is_some_and(|code| !ASKS_FOR_ENCRYPTION.contains(&code));
        }
        Some((kind, body))
    }
}

/// Splits at the next zero byte.
fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    }

    #[test]
    fn statements_are_told_by_their_text_wherever_the_pieces_end() {
        let said = [
            message(0, b"\x00\x03\x00\x00user\0ada\0\0")[1..].to_vec(),
            message(b'P', b"s1\0SELECT 1\0\0\0"),
            message(b'B', b"\0s1\0\0\0"),
            message(b'Q', b"BEGIN\0"),
            message(b'B', b"\0s1\0\0\0"),
            message(b'Q', b"COMMIT\0"),
        ]
        .concat();
        let run = |text: &str, commits| Run { text: text.into(), commits };
        let expected =
            [run("SELECT 1", true), run("BEGIN", false), run("SELECT 1", false), run("COMMIT\nSELECT 1", true)];
        for size in [1, 7, said.len()] {
            let mut spoken = Spoken::default();
            let runs: Vec<Run> = said.chunks(size).flat_map(|piece| spoken.hear(piece)).collect();
            assert_eq!(runs, expected, "in pieces of {size}");
        }
    }
}
