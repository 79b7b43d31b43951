//! Files and folders in a place that another user can change, opened without following links.
//!
//! Root works in homes that users own. A name in such a home can become a link to one of root's own files at any moment. So a name is
//! resolved relative to its folder's descriptor and never through a link, and owner and mode are read and set on the descriptor that
//! was opened, not on the name.

use std::{
    fs::{File, Metadata, Permissions},
    io::{self, Read},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt, fchown},
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

/// The mode of a file that only its owner may open.
const PRIVATE_FILE: u32 = 0o600;
/// The mode of a folder that only its owner may enter.
const PRIVATE_FOLDER: u32 = 0o700;
/// The permission bits of everyone but the owner.
pub(crate) const OTHERS: u32 = 0o077;
/// How a folder is opened whose entries may be read.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// How a folder is opened that need only be entered.
#[cfg(target_os = "linux")]
const ENTERED: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const ENTERED: OFlags = FOLDER;

/// Why a file or folder was not used. It reads as the end of a sentence that begins with its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// A symbolic link.
    #[error("is a link")]
    Link,
    /// A folder, a pipe, a device.
    #[error("is not an ordinary file")]
    NotAFile,
    /// Another user's.
    #[error("belongs to another user (uid {0})")]
    OtherOwner(u32),
    /// A hard link, whose other name can be anywhere.
    #[error("has a second name (it is a hard link)")]
    HardLink,
    /// A folder that other users may enter or list.
    #[error("is open to other users (its mode must be 0700)")]
    OpenToOthers,
}

impl From<Unsafe> for io::Error {
    fn from(why: Unsafe) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, why)
    }
}

impl Unsafe {
    /// The reason inside an I/O error, if the error was made of one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// The user id that this process acts with.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The mode of a home that this process makes. Root's lets the account of Postgres through to the data.
pub fn home_mode() -> u32 {
    if effective_uid() == 0 { 0o711 } else { PRIVATE_FOLDER }
}

/// An open folder. What is opened in it lies in this very folder, wherever its path leads later.
#[derive(Debug)]
pub struct Folder(File);

impl Folder {
    /// Opens the folder `path`, which need not be readable, only to be entered. Links on the way are followed: whoever chose the path
    /// vouches for it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, ENTERED, Mode::empty())?.into()))
    }

    /// Opens the folder `path` only if its last part is no link.
    pub fn open_real(path: &Path) -> io::Result<Self> {
        let (parent, name) = split(path)?;
        Self::open(&parent)?.folder(name)
    }

    /// Opens the folder `path`, which must be this process's own and closed to other users. Creates it, and the folders above it, if they
    /// are missing. Root may use another user's folder, and gives the one that it creates to the owner of the folder above.
    pub fn open_private(path: &Path) -> io::Result<Self> {
        let folder = match Self::open_real(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (above, name) = split(path)?;
                create_folders(&above, home_mode())?;
                let above = Self::open(&above)?;
                match above.create_private(name, above.heir()?) {
                    // Another process was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => above.folder(name)?,
                    created => created?,
                }
            }
            opened => opened?,
        };
        let own = effective_uid();
        folder.must_be_private(|owner| own == 0 || owner == own)?;
        Ok(folder)
    }

    /// Refuses this folder if other users may enter it, or if its owner is not one that `may_own` accepts.
    pub fn must_be_private(&self, may_own: impl Fn(u32) -> bool) -> io::Result<()> {
        let found = self.metadata()?;
        match () {
            () if !may_own(found.uid()) => Err(Unsafe::OtherOwner(found.uid()).into()),
            () if found.mode() & OTHERS != 0 => Err(Unsafe::OpenToOthers.into()),
            () => Ok(()),
        }
    }

    /// Who gets what root creates in this folder, if that is another user.
    fn heir(&self) -> io::Result<Option<Owner>> {
        let found = self.metadata()?;
        Ok((effective_uid() == 0 && found.uid() != 0).then(|| Owner { uid: found.uid(), gid: found.gid() }))
    }

    /// Opens the folder `name` in this one.
    pub(crate) fn folder(&self, name: &Path) -> io::Result<Self> {
        match rustix::fs::openat(&self.0, name, ENTERED | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(folder) => Ok(Self(folder.into())),
            Err(Errno::LOOP | Errno::NOTDIR) if self.is_link(name) => Err(Unsafe::Link.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates the folder `name` for `owner` alone, or for this process's user, and opens it.
    pub fn create_private(&self, name: &Path, owner: Option<Owner>) -> io::Result<Self> {
        rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?;
        let folder = Self(rustix::fs::openat(&self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?.into());
        // Whoever owns this folder may have put another one in the new one's place. Root gives away what it made and nothing else.
        let made_by = folder.metadata()?.uid();
        if made_by != effective_uid() {
            return Err(Unsafe::OtherOwner(made_by).into());
        }
        // Once more, since the umask may have taken bits away.
        folder.0.set_permissions(Permissions::from_mode(PRIVATE_FOLDER))?;
        if let Some(owner) = owner {
            give(&folder.0, owner)?;
        }
        Ok(folder)
    }

    /// Opens the file `name` for reading and appending, private to the owner of this folder, and creates it if it is missing. A file
    /// that other users may open, as older versions made it, is closed to them.
    pub fn private_file(&self, name: &Path) -> io::Result<File> {
        loop {
            if let Some(file) = self.existing_private_file(name)? {
                return Ok(file);
            }
            match self.create_file(name, OFlags::APPEND) {
                Ok(file) => {
                    // A user must be able to open what root made in the user's home.
                    if let Some(owner) = self.heir()? {
                        give(&file, owner)?;
                    }
                    return Ok(file);
                }
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Creates the file `name`, which nobody but this process's user may open, for reading and writing.
    pub fn create_file(&self, name: &Path, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// The same file if it exists.
    pub fn existing_private_file(&self, name: &Path) -> io::Result<Option<File>> {
        match self.open_file(name, OFlags::RDWR | OFlags::APPEND) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => self.close_to_others(name, opened?).map(Some),
        }
    }

    /// The content of the file `name`, at most `limit` bytes of it.
    pub fn read(&self, name: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open_file(name, OFlags::RDONLY)?.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Removes the file or link `name`. One that is missing is no failure.
    pub fn remove_file(&self, name: &Path) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames a file of this folder.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// The folder's own owner, mode and kind.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// A path to `name` in this very folder, short enough for a socket's address, as long as this process has the folder open. `path` is
    /// the folder's own path, which has to do where there is no such thing.
    pub fn path_to(&self, name: &str, path: &Path) -> PathBuf {
        if cfg!(target_os = "linux") {
            Path::new("/proc/self/fd").join(self.0.as_raw_fd().to_string()).join(name)
        } else {
            path.join(name)
        }
    }

    /// A path to `name` in this very folder, for this process and those that it starts as the same user.
    pub fn shared_path_to(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())).join(name)
    }

    /// Opens the ordinary file `name`. A pipe does not make it wait.
    pub fn open_file(&self, name: &Path, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP) => return Err(Unsafe::Link.into()),
            Err(error) => return Err(error.into()),
        };
        if file.metadata()?.is_file() { Ok(file) } else { Err(Unsafe::NotAFile.into()) }
    }

    fn close_to_others(&self, name: &Path, file: File) -> io::Result<File> {
        let (found, folder) = (file.metadata()?, self.metadata()?);
        // What root changes or writes to must be the folder's own: a file from elsewhere could have been linked to this name. Root may have
        // made it itself, before it gave such files away.
        if effective_uid() == 0 {
            if ![folder.uid(), 0].contains(&found.uid()) {
                return Err(Unsafe::OtherOwner(found.uid()).into());
            }
            if found.nlink() > 1 {
                return Err(Unsafe::HardLink.into());
            }
        }
        if found.mode() & OTHERS != 0 && [0, found.uid()].contains(&effective_uid()) {
            file.set_permissions(Permissions::from_mode(PRIVATE_FILE))?;
            tracing::info!(file = %name.display(), "closed a file of the home that other users could open");
        }
        Ok(file)
    }

    fn is_link(&self, name: &Path) -> bool {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_symlink())
    }
}

/// Creates the folder `path` and what is missing above it, with `mode` whatever the umask. Folders that exist stay as they are.
pub fn create_folders(path: &Path, mode: u32) -> io::Result<()> {
    let there = path.ancestors().find(|ancestor| ancestor.as_os_str().is_empty() || ancestor.is_dir());
    let there = there.unwrap_or(Path::new("/"));
    let missing = path.strip_prefix(there).unwrap_or(path);
    if missing.components().any(|part| part == Component::ParentDir) {
        let why = format!("`..` follows a folder that does not exist in {}", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut folder = Folder::open(if there.as_os_str().is_empty() { Path::new(".") } else { there })?;
    for name in missing.components().filter(|part| matches!(part, Component::Normal(_))) {
        let name: &Path = name.as_ref();
        let made = match rustix::fs::mkdirat(&folder.0, name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error.into()),
        };
        // A link that came in between is not followed: root would set the mode of another folder.
        folder = Folder(rustix::fs::openat(&folder.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?.into());
        if made && folder.metadata()?.uid() == effective_uid() {
            folder.0.set_permissions(Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

/// Opens a file or folder to be written out to the disk: not through a link, and without waiting for a pipe.
pub fn open_to_sync(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// A path as its folder and its name.
pub fn split(path: &Path) -> io::Result<(PathBuf, &Path)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !parent.as_os_str().is_empty() => Ok((parent.to_owned(), name.as_ref())),
        (_, Some(name)) => Ok((PathBuf::from("."), name.as_ref())),
        _ => Err(io::Error::from(io::ErrorKind::InvalidFilename)),
    }
}

fn give(file: &File, owner: Owner) -> io::Result<()> {
    fchown(file, Some(owner.uid), Some(owner.gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_not_created_in_another_place_than_their_path_says() {
        let folder = std::env::temp_dir().join(format!("pgrecall-folders-{}", std::process::id()));
        create_folders(&folder.join("a/b"), 0o700).unwrap();
        create_folders(&folder.join("a/../c"), 0o700).unwrap();
        let refused = create_folders(&folder.join("missing/../d"), 0o700).unwrap_err();
        assert!(refused.to_string().contains("`..`"), "{refused}");
        let mut made: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        made.sort();
        assert_eq!(made, ["a", "c"]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
