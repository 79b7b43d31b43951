//! Which files there are to read.
//!
//! A folder is walked in the order of names, so that two runs are alike. Hidden files and what builds leave behind are passed
//! over. A path that a person named is followed wherever it links to. In a folder, links to folders are not followed, so that no loop comes
//! of them; a link to a file is read only if the file lies in the folder too and the walk does not reach it otherwise. A link that leads out
//! of the folder is named and not followed. Of a million files no more is held than the names in the folders that are open.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

use super::{
    Format, Part, Place, Problem, STDIN,
    origin::unreadable,
    root::{Link, Location, Root},
};

/// Folders that hold nothing that a person wrote.
const PASSED_OVER: [&str; 4] = ["node_modules", "target", "__pycache__", "venv"];

/// A file to read.
#[derive(Debug)]
pub(super) struct File {
    /// As a person wrote it, or below what a person wrote.
    pub(super) path: PathBuf,
    /// The same in a form that holds from wherever it is ingested; stdin has none.
    pub(super) absolute: Option<PathBuf>,
    pub(super) location: Location,
    pub(super) bytes: u64,
}

impl File {
    pub(super) fn stdin() -> Self {
        let path = PathBuf::from(STDIN);
        Self { location: Location::Named(path.clone()), path, absolute: None, bytes: 0 }
    }

    /// A file that a person named.
    pub(super) fn named(path: PathBuf, bytes: u64) -> Self {
        Self { absolute: Some(absolute(&path)), location: Location::Named(path.clone()), path, bytes }
    }

    /// Whether a person named it, rather than a folder that it lies in.
    pub(super) fn is_named(&self) -> bool {
        matches!(self.location, Location::Named(_))
    }
}

/// What the walk comes upon.
#[derive(Debug)]
pub(super) enum Found {
    File(File),
    /// A file in a folder whose name promises no format that is understood.
    Other,
    /// What cannot be read, or must not be.
    Refused(Place, Problem),
}

/// The files under these paths, as they are come upon.
pub(super) struct Walk<'p> {
    paths: std::slice::Iter<'p, PathBuf>,
    /// The folder that a person named, in which the walk is.
    root: Option<Named>,
    open: Vec<Folder>,
}

struct Named {
    root: Arc<Root>,
    /// As the person wrote it.
    path: PathBuf,
}

struct Folder {
    /// From the root.
    path: PathBuf,
    names: vec::IntoIter<OsString>,
}

impl<'p> Walk<'p> {
    pub(super) fn new(paths: &'p [PathBuf]) -> Self {
        Self { paths: paths.iter(), root: None, open: Vec::new() }
    }

    /// How many files there are, and of how many bytes.
    pub(super) fn count(self) -> (usize, u64) {
        let files = self.filter_map(|found| if let Found::File(file) = found { Some(file.bytes) } else { None });
        files.fold((0, 0), |(files, bytes), more| (files + 1, bytes + more))
    }

    fn named(&mut self, path: &Path) -> Option<Found> {
        if path.as_os_str() == STDIN {
            return Some(Found::File(File::stdin()));
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => match Root::open(path) {
                Ok(root) => {
                    self.root = Some(Named { root: Arc::new(root), path: path.to_owned() });
                    self.enter(PathBuf::new())
                }
                Err(error) => Some(broken(path, &error)),
            },
            Ok(found) => Some(Found::File(File::named(path.to_owned(), found.len()))),
            Err(error) => Some(broken(path, &error)),
        }
    }

    /// Enters a folder, by its path from the root.
    fn enter(&mut self, path: PathBuf) -> Option<Found> {
        let named = self.root.as_ref()?;
        let names = fs::read_dir(named.root.path().join(&path))
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
        match names {
            Ok(mut names) => {
                names.sort_unstable();
                self.open.push(Folder { path, names: names.into_iter() });
                None
            }
            Err(error) => Some(broken(&named.path.join(&path), &error)),
        }
    }

    /// Looks at what a folder holds, by its path from the root.
    fn entry(&mut self, path: PathBuf) -> Option<Found> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            return None;
        }
        let named = self.root.as_ref()?;
        match fs::symlink_metadata(named.root.path().join(&path)) {
            Ok(found) if found.is_dir() => {
                if PASSED_OVER.contains(&&*name) {
                    return None;
                }
                self.enter(path)
            }
            Ok(found) if found.is_symlink() => Some(named.link(path)),
            Ok(found) if found.is_file() && Format::of(&path).is_some() => {
                Some(named.file(path.clone(), path, found.len()))
            }
            Ok(_) => Some(Found::Other),
            Err(error) => Some(broken(&named.path.join(&path), &error)),
        }
    }
}

impl Named {
    /// A file that is called `path` and lies at `target`, both from the root.
    fn file(&self, path: PathBuf, target: PathBuf, bytes: u64) -> Found {
        let absolute = Some(self.root.path().join(&path));
        let location = Location::Within(Arc::clone(&self.root), target);
        Found::File(File { path: self.path.join(path), absolute, location, bytes })
    }

    fn link(&self, path: PathBuf) -> Found {
        match self.root.resolve(&path) {
            Link::Outside(problem) => Found::Refused(Place { path: self.path.join(path), part: Part::Whole }, problem),
            Link::File(target, bytes) if Format::of(&path).is_some() && !is_walked(&target) => {
                self.file(path, target, bytes)
            }
            Link::File(..) | Link::Ignored => Found::Other,
        }
    }
}

/// Whether the walk comes upon a file at this path from the root, so that a link to it would read it twice.
fn is_walked(path: &Path) -> bool {
    let is_hidden = path.components().any(|name| name.as_os_str().as_encoded_bytes().starts_with(b"."));
    let in_passed_over = path.parent().is_some_and(|parent| {
        parent.components().any(|name| PASSED_OVER.iter().any(|passed| name.as_os_str() == *passed))
    });
    !is_hidden && !in_passed_over && Format::of(path).is_some()
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

fn broken(path: &Path, error: &io::Error) -> Found {
    Found::Refused(Place { path: path.to_path_buf(), part: Part::Whole }, unreadable(error))
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
                Found::File(file) => found.push((file.path.strip_prefix(&root).unwrap().to_owned(), file.is_named())),
                Found::Other => others += 1,
                Found::Refused(place, _) => problems.push(place.to_string()),
            }
        }
        let names: Vec<_> = found.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(names, ["README", "a.txt", "b/deep/z.md", "c.JSONL", "photo.png"]);
        assert_eq!(others, 3, "photo.png, the link to the folder, and the link to a.txt");
        assert!(found.last().unwrap().1);
        assert!(problems[0].ends_with("missing"));
        assert_eq!(Walk::new(&paths).count().0, 5);
        fs::remove_dir_all(root).unwrap();
    }

    // M5. A volume of Kubernetes holds links to files in a hidden folder beside them.
    #[test]
    fn a_link_is_read_under_its_own_name_if_the_walk_does_not_come_upon_its_target() {
        let base = std::env::temp_dir().join(format!("pgrecall-links-{}", std::process::id()));
        let root = base.join("root");
        fs::create_dir_all(root.join("..2026")).unwrap();
        fs::write(root.join("..2026/a.md"), "text").unwrap();
        fs::write(base.join("secret.pem"), "secret").unwrap();
        let links = [
            ("..data", "..2026"),
            ("a.md", "..data/a.md"),
            ("image.png", "..data/a.md"),
            ("notes.md", "../secret.pem"),
            ("parent", ".."),
        ];
        for (link, target) in links {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        let paths = [root.clone()];
        let (mut read, mut refused, mut others) = (Vec::new(), Vec::new(), 0);
        for one in Walk::new(&paths) {
            match one {
                Found::File(file) => {
                    let text = io::read_to_string(file.location.open().unwrap()).unwrap();
                    read.push((file.absolute.unwrap(), text));
                }
                Found::Refused(place, _) => refused.push(place.path.file_name().unwrap().to_owned()),
                Found::Other => others += 1,
            }
        }
        assert_eq!(read, [(absolute(&root).join("a.md"), "text".to_owned())]);
        assert_eq!(refused, ["notes.md", "parent"]);
        assert_eq!(others, 1);
        fs::remove_dir_all(base).unwrap();
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
