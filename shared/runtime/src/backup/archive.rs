//! Counts the rows of each table in a backup by reading all of it: pg_restore converts it to SQL.

use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::program::{Programs, TIMEOUT};
use super::{BackupError, Rows};

/// An open dump. Postgres' programs get its descriptor and not its path: they may run as a user who
/// cannot open the path, and the owner of its folder could have put a link in its place.
pub(super) struct Archive {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(BackupError::at("read", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Returns the file, rewound to its beginning, for a program to read or to write.
    pub(super) fn stdio(&self) -> Result<Stdio, BackupError> {
        let rewound = self.file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
        Ok(rewound.map_err(BackupError::at("read", &self.path))?.into())
    }
}

/// Counts the rows of each table in a dump. A truncated or damaged file is an error.
pub(super) async fn rows(programs: &Programs, file: &Archive) -> Result<Rows, BackupError> {
    let mut child = programs.read(file)?;
    let stdout = child.stdout.take().expect("the output of this program goes to a pipe");
    let counted = tokio::time::timeout(TIMEOUT, count(stdout)).await;
    // The program's error comes first: if it failed, the rows that it wrote before are no complete
    // dump.
    programs.finish("pg_restore", child).await?;
    let counted =
        counted.map_err(|_| BackupError::ProgramTimeout { program: "pg_restore", hours: TIMEOUT.as_secs() / 3600 })?;
    counted.map_err(BackupError::at("read", &file.path))
}

/// Returns the major version of the pg_dump that wrote a file. `bin` is the folder of the newest
/// pg_restore available, which also reads the dumps of older versions.
pub(super) async fn dumped_by(bin: &Path, file: &Archive) -> Result<u32, BackupError> {
    let list = Programs::alone(bin).list(file).await?;
    major_of(&list).ok_or_else(|| BackupError::NotOurs(file.path.clone()))
}

fn major_of(list: &str) -> Option<u32> {
    let version = list.lines().find_map(|line| line.split_once("Dumped by pg_dump version:"))?.1;
    version.trim().split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}

/// Counts the lines between `COPY table (columns) FROM stdin;` and `\.`. COPY escapes backslashes,
/// so no row is a line `\.`.
async fn count(sql: impl AsyncRead + Unpin) -> io::Result<Rows> {
    let mut sql = BufReader::with_capacity(256 << 10, sql);
    let (mut rows, mut table, mut line) = (Rows::new(), None::<String>, Vec::new());
    loop {
        line.clear();
        if sql.read_until(b'\n', &mut line).await? == 0 {
            return Ok(rows);
        }
        match &table {
            Some(_) if line == b"\\.\n" => table = None,
            Some(name) => *rows.entry(name.clone()).or_default() += 1,
            None => {
                table = copied(&line);
                if let Some(name) = &table {
                    rows.entry(name.clone()).or_default();
                }
            }
        }
    }
}

/// Returns the table whose rows follow this line.
fn copied(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let line = line.strip_prefix("COPY ")?.strip_suffix(" FROM stdin;")?;
    Some(line.rsplit_once(" (").map_or(line, |(name, _)| name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_of_a_dump_is_known_by_its_list() {
        assert_eq!(major_of(";\n;     Dumped by pg_dump version: 18.4 (Debian)\n;\n"), Some(18));
        assert_eq!(major_of("-- nothing"), None);
    }

    #[tokio::test]
    async fn rows_are_counted_by_table_and_nothing_else_is() {
        let sql = "SET x = 1;\nCOPY pgrecall.sources (id, body) FROM stdin;\n1\tCOPY a (b) FROM stdin;\n2\t\\\\.\n\\.\n\
                   COPY pgrecall.empty (id) FROM stdin;\n\\.\nCREATE INDEX a;\n";
        let rows = count(sql.as_bytes()).await.unwrap();
        let expected = [("pgrecall.empty".to_owned(), 0), ("pgrecall.sources".to_owned(), 2)];
        assert_eq!(rows, Rows::from(expected));
    }
}
