//! Page checksums: enabled in new databases, enabled in older ones before their server starts, and
//! verified while the server is stopped.
//!
//! Without checksums, Postgres returns data from a page that the disk has corrupted, and no error
//! appears.

use std::time::Duration;

use super::{
    EmbeddedError,
    cluster::Cluster,
    program::{ProgramError, run},
};
use crate::sync::folder_bytes;

/// How long enabling them may take. pg_checksums reads and writes every page once, and a start
/// waits for it.
const ENABLE_TIMEOUT: Duration = Duration::from_secs(300);
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest database whose pages are rewritten during a start. It fits into the timeout on a
/// disk that writes 100 MB per second.
const ENABLE_BYTES: u64 = 20 << 30;

/// The state of a stopped database, from Postgres' control file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Control {
    /// Whether its last server was shut down cleanly.
    pub(super) is_clean: bool,
    /// Whether its pages have checksums.
    pub(super) has_checksums: bool,
}

/// The result of a check of every page.
#[derive(Debug, PartialEq, Eq)]
pub enum PageCheck {
    /// Every page matches its checksum.
    Sound {
        /// Number of pages of 8 KiB.
        pages: u64,
    },
    /// Something other than Postgres changed pages.
    Damaged {
        /// The pages, as pg_checksums reports them.
        detail: String,
    },
    /// The pages have no checksums.
    Off,
    /// The timeout ended the check.
    Unfinished,
}

impl Cluster {
    /// Enables checksums in a stopped database that has none. A failure is only logged, because the
    /// database is unchanged and works without them.
    pub(super) async fn enable_checksums(&self) {
        match self.control().await {
            Ok(Control { has_checksums: false, is_clean: true }) => {}
            // After a crash the recovery has to change pages first. The next start after a clean
            // shutdown enables the checksums.
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the control file could not be read");
                return;
            }
        }
        let bytes = folder_bytes(&self.data);
        if bytes > ENABLE_BYTES {
            tracing::warn!(
                bytes,
                "the private database has no page checksums and is too large to get them during a start; with all of pgrecall \
                 stopped, run `pg_checksums --enable` on it"
            );
            return;
        }
        tracing::warn!(bytes, "enabling page checksums in the private database, once");
        let mut enable = self.command("pg_checksums");
        enable.args(["--enable", "--pgdata"]).arg(&self.data);
        if let Err(error) = run(enable, "", ENABLE_TIMEOUT).await {
            let error = error.into_error(failed);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                detail = error.detail(),
                "page checksums could not be enabled; the database works without them"
            );
        }
    }

    /// Verifies the checksum of every page of a stopped database.
    pub(super) async fn check_pages(&self, timeout: Duration) -> Result<PageCheck, EmbeddedError> {
        if !self.control().await?.has_checksums {
            return Ok(PageCheck::Off);
        }
        let mut check = self.command("pg_checksums");
        check.args(["--check", "--pgdata"]).arg(&self.data);
        match tokio::time::timeout(timeout, run(check, "", timeout * 2)).await {
            Err(_elapsed) => Ok(PageCheck::Unfinished),
            Ok(Ok(said)) => Ok(PageCheck::Sound { pages: number(&said, "Blocks scanned:") }),
            Ok(Err(ProgramError::Failed(detail))) if number(&detail, "Bad checksums:") > 0 => {
                Ok(PageCheck::Damaged { detail })
            }
            Ok(Err(error)) => Err(error.into_error(failed)),
        }
    }

    /// Reads the control file.
    pub(super) async fn control(&self) -> Result<Control, EmbeddedError> {
        let mut control = self.command("pg_controldata");
        control.arg("--pgdata").arg(&self.data);
        let said = run(control, "", CONTROL_TIMEOUT).await.map_err(|error| error.into_error(failed))?;
        Ok(parse(&said))
    }
}

fn failed(detail: String) -> EmbeddedError {
    EmbeddedError::CheckFailed { detail }
}

fn parse(said: &str) -> Control {
    Control {
        is_clean: value(said, "Database cluster state:") == Some("shut down"),
        has_checksums: value(said, "Data page checksum version:").is_some_and(|version| version != "0"),
    }
}

/// Returns the text after `name` on its line.
fn value<'a>(said: &'a str, name: &str) -> Option<&'a str> {
    said.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim)
}

fn number(said: &str, name: &str) -> u64 {
    value(said, name).and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_file_tells_a_clean_stop_and_checksums() {
        let said = "Database cluster state:               shut down\nData page checksum version:           0\n";
        assert_eq!(parse(said), Control { is_clean: true, has_checksums: false });
        let said = said.replace("shut down", "in production").replace("0\n", "1\n");
        assert_eq!(parse(&said), Control { is_clean: false, has_checksums: true });
    }

    #[test]
    fn the_counts_of_pg_checksums_are_read() {
        let said = "Checksum operation completed\nFiles scanned:   1029\nBlocks scanned:  3742\nBad checksums:  2\n";
        assert_eq!((number(said, "Blocks scanned:"), number(said, "Bad checksums:")), (3742, 2));
        assert_eq!(number("", "Bad checksums:"), 0);
    }
}
