//! A private folder, whose files are opened without following a link.
//!
//! The folder may lie in a home that another user owns while root runs the program. So nothing below it is reached by a path: the folder is opened once,
//! its owner and mode are checked on the descriptor, and files are opened relative to it.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::Path,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, fchown, mkdir, open, openat, renameat, unlinkat},
    process::{Gid, Uid, geteuid},
};

/// What a file or folder must not allow to others.
const OTHERS: u32 = 0o077;

/// The folder, open.
#[derive(Debug)]
pub(super) struct Folder {
    folder: OwnedFd,
    owner: (u32, u32),
}

impl Folder {
    /// Opens the folder, and makes it where it is missing; the folders above it, too. One that root makes in a user's home is that user's.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match open(path, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => {
                let above = path.parent().unwrap_or(Path::new("/"));
                std::fs::create_dir_all(above)?;
                match mkdir(path, Mode::RWXU) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let folder = File::from(open(path, flags, Mode::empty())?);
                give_to(&folder, &above.metadata()?)?;
                folder
            }
            opened => File::from(opened?),
        };
        let found = folder.metadata()?;
        let own = geteuid().as_raw();
        if own != 0 && found.uid() != own {
            return Err(refused("belongs to another user"));
        }
        if found.mode() & OTHERS != 0 {
            return Err(refused("is open to other users: its mode must be 0700"));
        }
        Ok(Self { owner: (found.uid(), found.gid()), folder: folder.into() })
    }

    /// Opens one of its files to read and append, and makes it where it is missing.
    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        self.opened(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// Opens one of its files to read. `None`: it is not there.
    pub(super) fn existing(&self, name: &str) -> io::Result<Option<File>> {
        match self.opened(name, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn opened(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR)?);
        let found = file.metadata()?;
        // Another name of a file elsewhere would be written to as well.
        if !found.is_file() || found.nlink() != 1 {
            return Err(refused("holds something that is no plain file of this program"));
        }
        if (found.uid(), found.gid()) != self.owner && geteuid().is_root() {
            fchown(&file, Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)))?;
        } else if found.uid() != self.owner.0 || found.mode() & OTHERS != 0 {
            return Err(refused("holds a file that is another user's, or open to others"));
        }
        Ok(file)
    }

    /// Renames a file within the folder. False: it is not there.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<bool> {
        match renameat(&self.folder, from, &self.folder, to) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.folder, name, AtFlags::empty())?)
    }
}

fn give_to(file: &File, like: &std::fs::Metadata) -> io::Result<()> {
    if geteuid().is_root() {
        fchown(file, Some(Uid::from_raw(like.uid())), Some(Gid::from_raw(like.gid())))?;
    }
    Ok(())
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}
