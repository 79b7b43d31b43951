//! The limit on open files. Each connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard limit and returns the limit in effect; `u64::MAX` means
/// unlimited.
///
/// A service manager often sets a soft limit of 1,024, which is fewer than the connections of one
/// listener.
pub fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current.unwrap_or(u64::MAX);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, ?current, "could not raise the limit on open files");
            current.unwrap_or(u64::MAX)
        }
    }
}
