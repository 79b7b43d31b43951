//! Which files there are to read.
//!
//! A folder is walked in the order of names, so that two runs are alike. Hidden files and what builds leave behind are passed
//! over. Links to folders are not followed, so that no loop and no second copy of a file comes of them; a path that a person
//! gave is, whatever it is. Of a million files no more is held than the names in the folders that are open.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    vec,
};

use super::{Format, Part, Place, Problem, STDIN, origin::unreadable};

/// Folders that hold nothing that a person wrote.
const PASSED_OVER: [&str; 4] = ["node_modules", "target", "__pycache__", "venv"];

/// A file to read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Whether a person named it, rather than a folder that it lies in.
    pub(super) named: bool,
}

/// What the walk comes upon.
#[derive(Debug)]
pub(super) enum Found {
    File(File),
    /// A file in a folder whose name promises no format that is understood.
    Other,
    Unreadable(Place, Problem),
}

/// The files under these paths, as they are come upon.
pub(super) struct Walk<'p> {
    paths: std::slice::Iter<'p, PathBuf>,
    open: Vec<Folder>,
}

struct Folder {
    path: PathBuf,
    names: vec::IntoIter<OsString>,
}

impl<'p> Walk<'p> {
    pub(super) fn new(paths: &'p [PathBuf]) -> Self {
        Self { paths: paths.iter(), open: Vec::new() }
    }

    /// How many files there are, and of how many bytes.
    pub(super) fn count(self) -> (usize, u64) {
        let files = self.filter_map(|found| if let Found::File(file) = found { Some(file.bytes) } else { None });
        files.fold((0, 0), |(files, bytes), more| (files + 1, bytes + more))
    }

    fn named(&mut self, path: &Path) -> Option<Found> {
        if path.as_os_str() == STDIN {
            return Some(Found::File(File { path: path.to_owned(), bytes: 0, named: true }));
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => self.enter(path.to_owned()),
            Ok(found) => Some(Found::File(File { path: path.to_owned(), bytes: found.len(), named: true })),
            Err(error) => Some(broken(path, &error)),
        }
    }

    fn enter(&mut self, path: PathBuf) -> Option<Found> {
        let names = fs::read_dir(&path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
        match names {
            Ok(mut names) => {
                names.sort_unstable();
                self.open.push(Folder { path, names: names.into_iter() });
                None
            }
            Err(error) => Some(broken(&path, &error)),
        }
    }

    fn entry(&mut self, path: PathBuf) -> Option<Found> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            return None;
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {
                if PASSED_OVER.contains(&&*name) {
                    return None;
                }
                self.enter(path)
            }
            Ok(found) => Some(file(path, found)),
            Err(error) => Some(broken(&path, &error)),
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let found = match self.open.last_mut() {
                Some(folder) => match folder.names.next() {
                    Some(name) => {
                        let path = folder.path.join(name);
                        self.entry(path)
                    }
                    None => {
                        self.open.pop();
                        None
                    }
                },
                None => {
                    let path = self.paths.next()?;
                    self.named(path)
                }
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

fn file(path: PathBuf, found: fs::Metadata) -> Found {
    // A link to a file counts as the file; one that leads nowhere, or to a folder, as nothing.
    let found = if found.is_symlink() { fs::metadata(&path).ok() } else { Some(found) };
    match found {
        Some(found) if found.is_file() && Format::of(&path).is_some() => {
            Found::File(File { path, bytes: found.len(), named: false })
        }
        _ => Found::Other,
    }
}

fn broken(path: &Path, error: &io::Error) -> Found {
    Found::Unreadable(Place { path: path.to_path_buf(), part: Part::Whole }, unreadable(error))
}

/// Where a file lies, in a form that stays the same from wherever it is ingested.
pub(super) fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_walked_in_order_and_what_nobody_wrote_is_passed_over() {
        let root = std::env::temp_dir().join(format!("pgrecall-walk-{}", std::process::id()));
        for folder in ["b/deep", ".git", "node_modules", "target"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in
            ["b/deep/z.md", "a.txt", "README", "photo.png", ".hidden.md", ".git/x.md", "node_modules/x.md", "c.JSONL"]
        {
            fs::write(root.join(file), "text").unwrap();
        }
        std::os::unix::fs::symlink(&root, root.join("b/loop")).unwrap();
        std::os::unix::fs::symlink(root.join("a.txt"), root.join("b/link.txt")).unwrap();
        let paths = [root.clone(), root.join("photo.png"), root.join("missing")];
        let (mut found, mut others, mut problems) = (Vec::new(), 0, Vec::new());
        for one in Walk::new(&paths) {
            match one {
                Found::File(file) => found.push((file.path.strip_prefix(&root).unwrap().to_owned(), file.named)),
                Found::Other => others += 1,
                Found::Unreadable(place, _) => problems.push(place.to_string()),
            }
        }
        let names: Vec<_> = found.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(names, ["README", "a.txt", "b/deep/z.md", "b/link.txt", "c.JSONL", "photo.png"]);
        assert_eq!(others, 2, "photo.png and the link to the folder");
        assert!(found.last().unwrap().1);
        assert!(problems[0].ends_with("missing"));
        assert_eq!(Walk::new(&paths).count().0, 6);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_deep_and_a_wide_folder_are_walked_as_they_come() {
        let root = std::env::temp_dir().join(format!("pgrecall-wide-{}", std::process::id()));
        let mut deep = root.clone();
        for _ in 0..500 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("end.md"), "text").unwrap();
        for number in 0..2_000 {
            fs::write(root.join(format!("{number}.md")), "").unwrap();
        }
        let paths = [root.clone()];
        let mut walk = Walk::new(&paths);
        walk.next();
        assert_eq!(walk.open[0].names.len(), 2_000, "the first is here before the others were looked at");
        assert_eq!(walk.count().0, 2_000);
        fs::remove_dir_all(root).unwrap();
    }
}
