//! The sections `audit` and `tenants.quotas`: keeping audit entries, and limits for each tenant.

use std::path::PathBuf;

use super::{
    Paths,
    keys::{Key, Kind, key},
    read::Reader,
    value::{Setting, Shown},
};

section! {
    /// How audit entries are kept while the database does not take them.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Audit {
        /// Whether a call is refused if neither the database nor the spill file can store its audit
        /// entry. `false`: the call is answered, and the lost entry is counted and logged.
        pub required: bool = key("audit.required", Kind::Word(&["false", "true"])).default("false"),
        /// Folder of the spill file, which keeps audit entries while the database is unavailable.
        /// Unset: `audit` in `PGRECALL_HOME`. In a pod, put it on a persistent volume, or the
        /// entries are lost with the pod.
        pub spill: PathBuf = key("audit.spill", Kind::Text),
        /// Maximum size of the spill file, in MiB. An entry takes about 300 bytes.
        pub spill_bytes: u64 = key("audit.spill_mib", Kind::Mebibytes(1, 65_536)).default("64"),
    }
}

section! {
    /// Limits on what each tenant may store and write. `None`: no limit.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Quotas {
        /// Maximum number of records of one tenant. Forgotten records count while they can be
        /// restored. Unset: no limit.
        pub records: Option<u64> = key("tenants.quotas.records", Kind::Number(1, 1_000_000_000)),
        /// Maximum size of the text of one tenant's records, in MiB. Forgotten records and earlier
        /// versions count while they can be restored. Unset: no limit.
        pub text_bytes: Option<u64> = key("tenants.quotas.text_mib", Kind::Mebibytes(1, 1_000_000)),
        /// Maximum number of records that one tenant writes per minute, over all servers. Unset: no
        /// limit.
        pub writes_per_minute: Option<u64> = key("tenants.quotas.writes_per_minute", Kind::Number(1, 10_000_000)),
    }
}

impl Audit {
    /// Fills in the default of `spill`, and checks `audit.required` against `server.audit_days`.
    pub(super) fn complete(&mut self, reader: &mut Reader, paths: Option<&Paths>, audit_days: u32) {
        self.spill = if reader.is_set("audit.spill") {
            std::path::absolute(&self.spill).unwrap_or_else(|_| self.spill.clone())
        } else {
            paths.map(|paths| paths.home.join("audit")).unwrap_or_default()
        };
        if self.required && audit_days == 0 {
            let wrong = " is true and `server.audit_days` is 0; set `server.audit_days` to 7 or more.";
            reader.find_at("audit.required", wrong);
        }
    }
}
