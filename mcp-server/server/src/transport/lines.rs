//! Lines of bounded length from an asynchronous stream.

use std::io;

pub(super) use pgrecall_process::lines::Line;
use pgrecall_process::lines::LineBuffer;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A reader of lines of at most `limit` bytes.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    buffer: LineBuffer,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Creates a reader of lines of at most `limit` bytes.
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, reader), buffer: LineBuffer::new(limit) }
    }

    /// Reads the next line; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let (used, line) = self.buffer.take(self.reader.fill_buf().await?);
            self.reader.consume(used);
            if line.is_some() || used == 0 {
                return Ok(line);
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
