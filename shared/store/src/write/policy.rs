//! Rules that hold for every write, whoever the caller is.

use pgrecall_record::secrets::Secrets;
use pgrecall_record::secrets::{self, Redactions};
use pgrecall_record::source::{Record, RecordError};

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How credentials in a record are handled.
    pub secrets: Secrets,
    /// Whether replacing another writer's text keeps a version of it.
    pub keeps_versions: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { secrets: Secrets::Redact, keeps_versions: true }
    }
}

/// Checks a record and redacts its credentials, before anything is hashed, split or sent to an
/// embedder.
pub(super) fn screen(record: &mut Record, secrets: Secrets) -> Result<Redactions, RecordError> {
    // The check comes first, so that the search for credentials is limited to texts that may be
    // stored.
    record.check()?;
    let redacted = secrets::screen(record, secrets)?;
    if !redacted.is_empty() {
        record.check()?;
    }
    Ok(redacted)
}
