//! Finds the live processes of a Postgres.
//!
//! A process id in a file proves nothing: after a reboot it may belong to another program, and
//! Postgres then refuses to start for as long as that program runs. Every Postgres process has the
//! data folder as its working folder, which is evidence.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use pgrecall_process::nofollow::Folder;

/// The most bytes read of `postmaster.pid`, which is more than a server writes.
const PID_FILE_BYTES: u64 = 16 << 10;
/// The index of the line of `postmaster.pid` with the folder of the socket.
const SOCKET_LINE: usize = 4;

/// Whether `pid` is a Postgres that works on the data folder `data`. A zombie process does not
/// count.
pub(super) fn is_postgres(pid: u32, data: &Path) -> bool {
    if !Path::new("/proc/self").exists() {
        return is_named_postgres(pid);
    }
    // After the program's file was replaced, " (deleted)" follows its name.
    works_in(pid, data, |program| program.starts_with("postgres"))
}

/// Returns all Postgres processes that work on `data`, including those without a parent.
pub(super) fn all_of(data: &Path) -> Vec<u32> {
    all().filter(|pid| is_postgres(*pid, data)).collect()
}

/// Returns all processes of these programs that work in `folder`.
pub(super) fn working_in(folder: &Path, programs: &[&str]) -> Vec<u32> {
    let is_one = |program: &str| programs.contains(&program.trim_end_matches(" (deleted)"));
    all().filter(|pid| works_in(*pid, folder, is_one)).collect()
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn works_in(pid: u32, folder: &Path, is_program: impl Fn(&str) -> bool) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder)
        && fs::read_link(process.join("exe"))
            .is_ok_and(|program| program.file_name().is_some_and(|name| is_program(&name.to_string_lossy())))
}

/// Returns the server's process id from `postmaster.pid`, whether that server lives or not.
fn recorded(data: &Path) -> Option<u32> {
    pid_file(data)?.lines().next()?.trim().parse().ok()
}

/// Returns the server's process id, if that server lives.
pub(super) fn running(data: &Path) -> Option<u32> {
    recorded(data).filter(|pid| is_postgres(*pid, data))
}

/// Returns the folder of the server's socket from `postmaster.pid`. A path that is relative to the
/// data folder is made absolute.
pub(super) fn recorded_socket_folder(data: &Path) -> Option<PathBuf> {
    let file = pid_file(data)?;
    let folder = file.lines().nth(SOCKET_LINE).filter(|folder| !folder.is_empty())?;
    Some(match folder.strip_prefix("../") {
        Some(beside) => data.parent()?.join(beside),
        None => data.join(folder),
    })
}

fn pid_file(data: &Path) -> Option<String> {
    let content = Folder::open_real(data).ok()?.read(Path::new("postmaster.pid"), PID_FILE_BYTES).ok()?;
    Some(String::from_utf8_lossy(&content).into_owned())
}

/// Checks the program's name only, because without `/proc` the working folder is unknown.
fn is_named_postgres(pid: u32) -> bool {
    Command::new("/bin/ps")
        .args(["-o", "comm=", "-p", &pid.to_string()])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_no_postgres_even_in_the_right_folder() {
        let folder = std::env::current_dir().unwrap();
        assert!(!is_postgres(std::process::id(), &folder));
        assert!(all_of(&folder).is_empty());
        assert_eq!(recorded(&folder), None);
    }
}
