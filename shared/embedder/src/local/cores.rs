//! The number of threads for arithmetic: one for each physical core that this process may use.

use std::{collections::HashSet, fs, thread};

/// Returns the number of physical cores, at most what the process may use (affinity, container
/// limits).
///
/// Two hardware threads of a core share the arithmetic units that a matrix product keeps busy.
pub(super) fn physical() -> usize {
    let allowed = thread::available_parallelism().map_or(1, usize::from);
    siblings().map_or(allowed, |cores| cores.clamp(1, allowed))
}

/// Returns the number of distinct cores on Linux; `None` elsewhere.
fn siblings() -> Option<usize> {
    let cpus = fs::read_dir("/sys/devices/system/cpu").ok()?;
    let cores: HashSet<String> = cpus
        .filter_map(Result::ok)
        .filter_map(|cpu| fs::read_to_string(cpu.path().join("topology/thread_siblings_list")).ok())
        .collect();
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_one_and_at_most_what_is_allowed() {
        let allowed = thread::available_parallelism().map_or(1, usize::from);
        assert!((1..=allowed).contains(&physical()));
    }
}
