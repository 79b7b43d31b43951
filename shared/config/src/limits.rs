//! What bounds tenants, and what keeps the audit log whole.

use std::path::PathBuf;

use super::{Paths, read::Reader};

/// What happens to audit entries that the database does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Whether a call whose entry could not be kept is refused.
    pub required: bool,
    /// The folder of the spill file.
    pub spill: PathBuf,
    /// The largest that the spill file may become.
    pub spill_bytes: u64,
}

impl Audit {
    pub(super) fn read(reader: &mut Reader, paths: Option<&Paths>) -> Self {
        let home = paths.map(|paths| paths.home.join("audit")).unwrap_or_default();
        let folder = reader.text("audit.spill").map(PathBuf::from);
        let folder = folder.map(|folder| std::path::absolute(&folder).unwrap_or(folder));
        Self {
            required: reader.word("audit.required") == "true",
            spill: folder.unwrap_or(home),
            spill_bytes: u64::from(reader.number("audit.spill_mib")) << 20,
        }
    }
}

/// What each tenant may have and write. `None`: any amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Records.
    pub records: Option<u64>,
    /// Bytes of text.
    pub text_bytes: Option<u64>,
    /// Records written in a minute.
    pub writes_per_minute: Option<u64>,
}

impl Quotas {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            records: reader.optional_number("tenants.quotas.records").map(u64::from),
            text_bytes: reader.optional_number("tenants.quotas.text_mib").map(|mib| u64::from(mib) << 20),
            writes_per_minute: reader.optional_number("tenants.quotas.writes_per_minute").map(u64::from),
        }
    }
}
