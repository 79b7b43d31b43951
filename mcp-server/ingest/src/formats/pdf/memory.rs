//! Memory limits for reading a PDF, so that the kernel does not kill the whole program.
//!
//! A container's limit counts every process in it. The process that reads the pages may take at
//! most half of it; the rest is for this program and for the file itself.

use std::{fs, path::Path};

/// Memory limit of the process that reads the pages, unless the container's limit is too low for
/// it.
const MAX_MEMORY: u64 = 1024 * 1024 * 1024;
/// Least memory limit of that process; below it, not even a small file can be read.
const MIN_MEMORY: u64 = 128 * 1024 * 1024;
/// Size limit of a PDF, in bytes, unless the container's limit is too low for it. Most bytes of
/// such files are pictures.
const MOST_FILE: u64 = 256 * 1024 * 1024;

/// Returns the memory limit, in bytes, of the process that reads the pages.
pub(super) fn allowed() -> u64 {
    share(limit(), 2, MIN_MEMORY, MAX_MEMORY)
}

/// Returns the size limit, in bytes, of a PDF.
///
/// This program holds the file while it passes it on.
pub(crate) fn max_file() -> u64 {
    share(limit(), 8, MIN_MEMORY / 8, MOST_FILE)
}

fn share(limit: Option<u64>, divisor: u64, least: u64, most: u64) -> u64 {
    limit.map_or(most, |limit| (limit / divisor).clamp(least, most))
}

/// Returns the lowest limit of this process's control group and of the groups above it.
fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_of(&groups, Path::new("/sys/fs/cgroup"))
}

fn limit_of(groups: &str, mounted: &Path) -> Option<u64> {
    let lines = groups.lines().filter_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, path) = line.split_once(':')?;
        match controllers {
            // Control groups version 2 have one hierarchy for all controllers.
            "" => Some((mounted.to_owned(), "memory.max", path)),
            _ if controllers.split(',').any(|name| name == "memory") => {
                Some((mounted.join("memory"), "memory.limit_in_bytes", path))
            }
            _ => None,
        }
    });
    let limits = lines.flat_map(|(mounted, file, path)| {
        // In a container, the path may be the host's, of which only the root is visible.
        let paths: Vec<_> =
            Path::new(path.trim_start_matches('/')).ancestors().map(|path| mounted.join(path)).collect();
        paths.into_iter().filter_map(move |folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok())
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_lowest_limit_of_the_groups_above_holds() {
        let mounted = std::env::temp_dir().join(format!("pgrecall-cgroup-{}", std::process::id()));
        for (file, limit) in [
            ("memory.max", "max"),
            ("pods/memory.max", "536870912"),
            ("pods/a/memory.max", "max"),
            ("memory/memory.limit_in_bytes", "9223372036854771712"),
            ("memory/docker/memory.limit_in_bytes", "268435456"),
        ] {
            fs::create_dir_all(mounted.join(file).parent().unwrap()).unwrap();
            fs::write(mounted.join(file), format!("{limit}\n")).unwrap();
        }
        assert_eq!(limit_of("0::/pods/a\n", &mounted), Some(512 * MIB));
        assert_eq!(limit_of("0::/\n", &mounted), None);
        assert_eq!(limit_of("0::/elsewhere/pods\n", &mounted), None);
        assert_eq!(limit_of("5:cpu,memory:/docker\n3:pids:/x\n", &mounted), Some(256 * MIB));
        assert_eq!(limit_of("nonsense", &mounted), None);
        fs::remove_dir_all(mounted).unwrap();
    }

    #[test]
    fn the_file_and_both_processes_fit_into_the_charts_limit() {
        let chart = Some(512 * MIB);
        let (pages, file) = (share(chart, 2, MIN_MEMORY, MAX_MEMORY), share(chart, 8, MIN_MEMORY / 8, MOST_FILE));
        assert_eq!((pages, file), (256 * MIB, 64 * MIB));
        assert_eq!(share(None, 2, MIN_MEMORY, MAX_MEMORY), 1024 * MIB);
        assert_eq!(share(Some(1), 2, MIN_MEMORY, MAX_MEMORY), MIN_MEMORY);
    }
}
