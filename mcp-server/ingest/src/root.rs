//! Opens files without leaving the folder that a person named (decision 29).
//!
//! The folder may belong to somebody else: a link in it could lead to a private key, and a named
//! pipe would block the reader. Links are resolved while the folder is walked. Each file is then
//! opened name by name below the folder's descriptor, without following any link. So a file that is
//! swapped for a link between the walk and the read is refused.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{Mode, OFlags, open, openat},
    io::Errno,
};

use crate::Problem;

/// Flags for reading. Opening a pipe does not block, and a terminal does not become the controlling
/// terminal.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The location of a file.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    /// A path that a person named. Its links are followed.
    Named(PathBuf),
    /// The path of a file in a folder that a person named, relative to that folder.
    Within(Arc<Root>, PathBuf),
}

impl Location {
    /// Opens the file. Only a regular file is opened.
    pub(crate) fn open(&self) -> io::Result<fs::File> {
        match self {
            Self::Named(path) => {
                // The type is checked first, because opening a device may already have an effect.
                regular(&fs::metadata(path)?)?;
                checked(open(path, READ, Mode::empty())?)
            }
            Self::Within(root, path) => root.open_file(path),
        }
    }
}

/// The target of a symbolic link in a folder.
#[derive(Debug)]
pub(crate) enum Link {
    /// A file in the folder, and its length. The path has no links.
    File(PathBuf, u64),
    /// A folder, a special file, or nothing.
    Ignored,
    /// Something outside the folder.
    Outside(Problem),
}

/// A folder that a person named. Nothing outside the folder is opened.
#[derive(Debug)]
pub(crate) struct Root {
    /// The path as the person wrote it.
    name: PathBuf,
    path: PathBuf,
    folder: OwnedFd,
}

impl Root {
    pub(crate) fn open(name: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(name)?;
        let folder = open(&path, READ | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self { name: name.to_owned(), path, folder })
    }

    /// Returns a path from the root in the form that is shown to the person.
    pub(crate) fn shown(&self, path: &Path) -> PathBuf {
        self.name.join(path)
    }

    /// Returns the root's path without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Resolves a link that was found at this path from the root.
    pub(crate) fn resolve(&self, link: &Path) -> Link {
        let Ok(target) = fs::canonicalize(self.path.join(link)) else { return Link::Ignored };
        let Ok(within) = target.strip_prefix(&self.path) else {
            return Link::Outside(Problem::Useless(format!(
                "it is a symbolic link to {}, which is outside of {}: name that path to have it read",
                target.display(),
                self.path.display()
            )));
        };
        match fs::symlink_metadata(&target) {
            Ok(found) if found.is_file() => Link::File(within.to_owned(), found.len()),
            _ => Link::Ignored,
        }
    }

    fn open_file(&self, path: &Path) -> io::Result<fs::File> {
        let mut names = path.components().peekable();
        let mut parent: Option<OwnedFd> = None;
        while let Some(Component::Normal(name)) = names.next() {
            let is_last = names.peek().is_none();
            let flags = READ | OFlags::NOFOLLOW | if is_last { OFlags::empty() } else { OFlags::DIRECTORY };
            let opened = openat(parent.as_ref().unwrap_or(&self.folder), name, flags, Mode::empty());
            let opened = opened.map_err(|error| match error {
                Errno::LOOP | Errno::NOTDIR => io::Error::other("a symbolic link has taken its place"),
                other => other.into(),
            })?;
            if is_last {
                return checked(opened);
            }
            parent = Some(opened);
        }
        Err(io::ErrorKind::InvalidFilename.into())
    }
}

fn checked(opened: OwnedFd) -> io::Result<fs::File> {
    let file = fs::File::from(opened);
    regular(&file.metadata()?)?;
    Ok(file)
}

fn regular(found: &fs::Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let what = if found.is_dir() { "it is a folder" } else { "it is a pipe, a socket or a device, not a file" };
    Err(io::Error::other(what))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Makes a folder with `in/sub/a.md`, and `out/a.md` outside of `in`.
    fn folders(name: &str) -> (PathBuf, Arc<Root>) {
        let path = std::env::temp_dir().join(format!("pgrecall-root-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for folder in ["in/sub", "out"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        fs::write(path.join("in/sub/a.md"), "inside").unwrap();
        fs::write(path.join("out/a.md"), "secret").unwrap();
        let root = Arc::new(Root::open(&path.join("in")).unwrap());
        (path, root)
    }

    fn read(root: &Arc<Root>, path: &str) -> io::Result<String> {
        io::read_to_string(Location::Within(Arc::clone(root), path.into()).open()?)
    }

    #[test]
    fn a_file_or_folder_that_is_swapped_for_a_link_after_the_walk_is_not_read() {
        let (path, root) = folders("swap");
        assert_eq!(read(&root, "sub/a.md").unwrap(), "inside");
        fs::remove_file(path.join("in/sub/a.md")).unwrap();
        symlink("../../out/a.md", path.join("in/sub/a.md")).unwrap();
        assert!(read(&root, "sub/a.md").unwrap_err().to_string().contains("symbolic link"));
        fs::remove_dir_all(path.join("in/sub")).unwrap();
        symlink("../out", path.join("in/sub")).unwrap();
        assert!(read(&root, "sub/a.md").unwrap_err().to_string().contains("symbolic link"));
        for outside in ["../out/a.md", "/etc/hostname", "", "."] {
            assert!(read(&root, outside).is_err(), "{outside}");
        }
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_link_is_resolved_through_all_links_before_it_is_judged() {
        let (path, root) = folders("resolve");
        for (link, target) in [
            ("in/inside.md", "sub/a.md"),
            ("in/absolute.md", path.join("in/sub/a.md").to_str().unwrap()),
            ("in/outside.md", "../out/a.md"),
            ("in/first.md", "second.md"),
            ("in/second.md", "../out/a.md"),
            ("in/loop.md", "loop.md"),
            ("in/nothing.md", "nowhere.md"),
            ("in/folder.md", "sub"),
            ("in/up.md", ".."),
        ] {
            symlink(target, path.join(link)).unwrap();
        }
        for inside in ["inside.md", "absolute.md"] {
            assert!(matches!(root.resolve(Path::new(inside)), Link::File(to, 6) if to == Path::new("sub/a.md")));
        }
        for outside in ["outside.md", "first.md", "up.md"] {
            let Link::Outside(Problem::Useless(said)) = root.resolve(Path::new(outside)) else { panic!("{outside}") };
            assert!(said.contains("symbolic link to") && said.contains("outside of"), "{said}");
        }
        for ignored in ["loop.md", "nothing.md", "folder.md"] {
            assert!(matches!(root.resolve(Path::new(ignored)), Link::Ignored), "{ignored}");
        }
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_pipe_a_device_and_a_socket_are_refused_and_block_nobody() {
        let (path, root) = folders("pipe");
        let pipe = path.join("in/pipe.md");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path.join("in/socket.md")).unwrap();
        for name in ["pipe.md", "socket.md"] {
            assert!(read(&root, name).is_err());
            assert!(Location::Named(path.join("in").join(name)).open().unwrap_err().to_string().contains("not a file"));
        }
        assert!(Location::Named("/dev/zero".into()).open().unwrap_err().to_string().contains("not a file"));
        fs::remove_dir_all(path).unwrap();
    }
}
