//! Files and folders in places that another user can change, opened without following links.
//!
//! Root works in homes that belong to users, who can replace any name there by a link to one of
//! root's files at any moment. So a name is resolved relative to its folder's descriptor and never
//! through a link, and owner and mode are read and set on the opened descriptor, not on the name
//! (decision 23).

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
/// The permission bits of the group and all others.
pub(crate) const OTHERS: u32 = 0o077;
/// The flags to open a folder whose entries may be read.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// The flags to open a folder that is only entered, which needs no read permission on Linux.
#[cfg(target_os = "linux")]
const ENTERED: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const ENTERED: OFlags = FOLDER;

/// The reason why a file or folder is refused. It reads as the end of a sentence that begins with
/// its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// A symbolic link.
    #[error("is a link")]
    Link,
    /// A folder, pipe or device instead of a regular file.
    #[error("is not an ordinary file")]
    NotAFile,
    /// A file or folder of another user.
    #[error("belongs to another user (uid {0})")]
    OtherOwner(u32),
    /// A hard link, whose other name can be anywhere.
    #[error("has a second name (it is a hard link)")]
    HardLink,
    /// A folder on which other users have permissions.
    #[error("is open to other users (its mode must be 0700)")]
    OpenToOthers,
}

impl From<Unsafe> for io::Error {
    fn from(why: Unsafe) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, why)
    }
}

impl Unsafe {
    /// Returns the reason inside an I/O error, if the error was made from one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

/// Returns the effective user id of this process.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns the mode of a home that this process creates. Root's home lets the account that runs
/// Postgres pass to the data.
pub fn home_mode() -> u32 {
    if effective_uid() == 0 { 0o711 } else { PRIVATE_FOLDER }
}

/// An open folder. Names are resolved in this folder itself, even if its path leads elsewhere
/// later.
#[derive(Debug)]
pub struct Folder(File);

impl Folder {
    /// Opens the folder `path` to enter it, even if it is not readable. Links in the path are
    /// followed: its caller is responsible for the path.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, ENTERED, Mode::empty())?.into()))
    }

    /// Opens the folder `path`, unless its last component is a link. Links before that are
    /// followed.
    pub fn open_real(path: &Path) -> io::Result<Self> {
        let (parent, name) = split(path)?;
        Self::open(&parent)?.folder(name)
    }

    /// Opens the folder `path`, which must belong to this process's user and be closed to other
    /// users. A missing folder is created, with its missing parents. Root may use another user's
    /// folder, and gives a folder that it creates to the owner of the parent.
    pub fn open_private(path: &Path) -> io::Result<Self> {
        let folder = match Self::open_real(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (above, name) = split(path)?;
                create_folders(&above, home_mode())?;
                let above = Self::open(&above)?;
                match above.create_private(name, above.heir()?) {
                    // Another process created it first.
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

    /// Refuses this folder if other users have permissions on it, or if `may_own` rejects its
    /// owner.
    pub fn must_be_private(&self, may_own: impl Fn(u32) -> bool) -> io::Result<()> {
        let found = self.metadata()?;
        match () {
            () if !may_own(found.uid()) => Err(Unsafe::OtherOwner(found.uid()).into()),
            () if found.mode() & OTHERS != 0 => Err(Unsafe::OpenToOthers.into()),
            () => Ok(()),
        }
    }

    /// Returns the owner to whom root gives what it creates in this folder, if that is another
    /// user.
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

    /// Creates the folder `name`, closed to others, gives it to `owner` if there is one, and opens
    /// it.
    pub fn create_private(&self, name: &Path, owner: Option<Owner>) -> io::Result<Self> {
        rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?;
        let folder = Self(rustix::fs::openat(&self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?.into());
        // The owner of this folder may have replaced the new folder by another one. Root gives away
        // only what it has created itself.
        let made_by = folder.metadata()?.uid();
        if made_by != effective_uid() {
            return Err(Unsafe::OtherOwner(made_by).into());
        }
        // Sets the mode again, because the umask may have removed bits.
        folder.0.set_permissions(Permissions::from_mode(PRIVATE_FOLDER))?;
        if let Some(owner) = owner {
            give(&folder.0, owner)?;
        }
        Ok(folder)
    }

    /// Opens the file `name` to read and append, and creates it if it is missing. It is private to
    /// the owner of this folder. A file that other users may open, as older versions created it, is
    /// closed to them.
    pub fn private_file(&self, name: &Path) -> io::Result<File> {
        loop {
            if let Some(file) = self.existing_private_file(name)? {
                return Ok(file);
            }
            match self.create_file(name, OFlags::APPEND) {
                Ok(file) => {
                    // Users must be able to open files that root created in their homes.
                    if let Some(owner) = self.heir()? {
                        give(&file, owner)?;
                    }
                    return Ok(file);
                }
                // Another process created it first.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Creates the file `name` to read and write, which only this process's user may open.
    pub fn create_file(&self, name: &Path, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Opens the file like [`private_file`](Self::private_file), if it exists.
    pub fn existing_private_file(&self, name: &Path) -> io::Result<Option<File>> {
        match self.open_file(name, OFlags::RDWR | OFlags::APPEND) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => self.close_to_others(name, opened?).map(Some),
        }
    }

    /// Reads at most `limit` bytes of the file `name`.
    pub fn read(&self, name: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open_file(name, OFlags::RDONLY)?.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Removes the file or link `name`. A missing file is not an error.
    pub fn remove_file(&self, name: &Path) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames a file within this folder.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Returns the metadata of the folder itself.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// Returns a path to `name` in this folder that is short enough for a socket's address. It is
    /// valid while this process has the folder open. Systems without `/proc` get a path below
    /// `path`, the folder's own path.
    pub fn path_to(&self, name: &str, path: &Path) -> PathBuf {
        if cfg!(target_os = "linux") {
            Path::new("/proc/self/fd").join(self.0.as_raw_fd().to_string()).join(name)
        } else {
            path.join(name)
        }
    }

    /// Returns a path to `name` in this folder for this process and for child processes of the same
    /// user.
    pub fn shared_path_to(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())).join(name)
    }

    /// Opens the regular file `name`. Opening a pipe fails instead of blocking.
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
        // Root may change or write only files of the folder's owner, because a file from elsewhere
        // could have been linked to this name. Root's own files are accepted: older versions did
        // not give them away.
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

/// Creates the folder `path` and its missing parents with `mode`, regardless of the umask. Existing
/// folders are left unchanged.
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
        // A link that someone creates in between is not followed: root would set the mode of
        // another folder.
        folder = Folder(rustix::fs::openat(&folder.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?.into());
        if made && folder.metadata()?.uid() == effective_uid() {
            folder.0.set_permissions(Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

/// Opens a file or folder to sync it to disk, without following a link and without blocking on a
/// pipe.
pub fn open_to_sync(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Splits a path into its folder and its name.
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
