//! What a client says to Postgres, as far as it tells which statement runs.

use std::collections::HashMap;

/// The codes of the requests that come before a start-up message.
const ASKS_FOR_ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

/// One client's side of the protocol, heard from its beginning.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    /// The beginning of a message that is not whole yet.
    rest: Vec<u8>,
    greeted: bool,
    prepared: HashMap<Vec<u8>, String>,
    in_transaction: bool,
    /// The text of the statement before.
    last: String,
}

/// A statement that is to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Its text; a COMMIT's goes on with that of the statement before.
    pub(super) text: String,
    /// Whether what it does stands when it is over: a COMMIT, or a prepared statement outside any transaction.
    pub(super) commits: bool,
}

impl Spoken {
    /// Hears a piece, which may end in the middle of a message.
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

    /// The next whole message: its kind, which the first one has none of, and what it carries.
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

/// Up to the next zero byte, and what comes after it.
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
