//! Reading lines of bounded length from a stream.
//!
//! A peer that never sends a newline must not fill the memory, so a line beyond the limit is skipped to its end and
//! reported as too long, and the stream goes on with the next line.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// One line, without its line break.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is in the buffer.
    Whole(Vec<u8>),
    /// It was longer than the limit and was skipped.
    TooLong,
}

/// Lines of at most `limit` bytes.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines of at most `limit` bytes from `reader`.
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, reader), limit }
    }

    /// The next line; `None` at the end of the stream. The last line needs no line break.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let mut too_long = false;
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(match (too_long, line.is_empty()) {
                    (true, _) => Some(Line::TooLong),
                    (false, true) => None,
                    (false, false) => Some(Line::Whole(line)),
                });
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if line.len() + part.len() > self.limit {
                too_long = true;
                line = Vec::new();
            } else if !too_long {
                line.extend_from_slice(part);
            }
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(if too_long { Line::TooLong } else { Line::Whole(line) }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(text, limit);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn a_last_line_needs_no_line_break() {
        assert_eq!(
            lines(b"a\n\nb", 8).await,
            [Line::Whole(b"a".into()), Line::Whole(vec![]), Line::Whole(b"b".into())]
        );
    }

    #[tokio::test]
    async fn an_over_long_line_is_skipped_and_the_next_is_read() {
        let text = [b"x".repeat(200_000), b"\nok\n".to_vec()].concat();
        assert_eq!(lines(&text, 100_000).await, [Line::TooLong, Line::Whole(b"ok".into())]);
        assert_eq!(lines(&b"x".repeat(9), 8).await, [Line::TooLong]);
        assert_eq!(lines(&b"x".repeat(8), 8).await, [Line::Whole(b"x".repeat(8))]);
    }
}
