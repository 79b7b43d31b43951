//! Finds the files to read.
//!
//! A folder is walked in the order of names, so that two runs give the same order. The caller
//! chooses by name which files are read and which folders are entered; hidden ones are skipped. A
//! path that a person named is followed through links. Within a folder, links to folders are not
//! followed, which prevents loops. A link to a file is read only if the file is in the folder too
//! and the walk does not reach it otherwise. A link out of the folder is reported, not followed.
//! The walk holds only the names in the open folders, even among a million files. What [`Rules`]
//! leave out is only counted.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

use crate::{
    Part, Place, Problem, STDIN,
    ignored::{Rules, Wishes},
    origin::Origin,
    root::{Link, Location, Root},
};

/// An entry of a folder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'n> {
    File(&'n Path),
    Folder(&'n OsStr),
}

/// A result of the walk.
#[derive(Debug)]
pub(crate) enum Found {
    File(Origin),
    /// A file in a folder that is not wanted, by its path.
    Other(PathBuf),
    /// A file or folder that the rules leave out.
    Ignored,
    /// A path that cannot be read, or must not be.
    Refused(Place, Problem),
}

/// An iterator over the files under these paths, in the order of the walk.
pub(crate) struct Walk<'p> {
    paths: std::slice::Iter<'p, PathBuf>,
    is_wanted: &'p dyn Fn(Entry<'_>) -> bool,
    wishes: Wishes,
    open: Vec<Folder>,
}

struct Folder {
    /// The folder that a person named: this one, or one above it.
    root: Arc<Root>,
    /// The path from the root.
    path: PathBuf,
    names: vec::IntoIter<OsString>,
    rules: Rules,
}

impl<'p> Walk<'p> {
    pub(crate) fn new(paths: &'p [PathBuf], is_wanted: &'p dyn Fn(Entry<'_>) -> bool) -> Self {
        Self { paths: paths.iter(), is_wanted, wishes: Wishes::default(), open: Vec::new() }
    }

    /// Leaves out what a person does not want.
    pub(crate) fn leaving_out(self, wishes: Wishes) -> Self {
        Self { wishes, ..self }
    }

    /// Counts the files and their bytes.
    pub(crate) fn count(self) -> (usize, u64) {
        let files = self.filter_map(|found| if let Found::File(file) = found { Some(file.bytes) } else { None });
        files.fold((0, 0), |(files, bytes), more| (files + 1, bytes + more))
    }

    fn named(&mut self, path: &Path) -> io::Result<Option<Found>> {
        if path.as_os_str() == STDIN {
            return Ok(Some(Found::File(Origin::stdin())));
        }
        let found = fs::metadata(path)?;
        if !found.is_dir() {
            return Ok(Some(Found::File(Origin::named(path.to_owned(), found.len()))));
        }
        let root = Arc::new(Root::open(path)?);
        let rules = Rules::above(&root, &self.wishes)?;
        self.open.push(Folder::open(&root, PathBuf::new(), &rules)?);
        Ok(None)
    }

    /// Examines an entry of a folder, by its path from the root.
    fn entry(&mut self, root: &Arc<Root>, path: PathBuf, rules: &Rules) -> io::Result<Option<Found>> {
        let name = path.file_name().unwrap_or_default();
        if is_hidden(name) {
            return Ok(None);
        }
        let absolute = root.path().join(&path);
        let found = fs::symlink_metadata(&absolute)?;
        if rules.leaves_out(&absolute, found.is_dir()) {
            return Ok(Some(Found::Ignored));
        }
        if found.is_dir() {
            if (self.is_wanted)(Entry::Folder(name)) {
                self.open.push(Folder::open(root, path, rules)?);
            }
            return Ok(None);
        }
        Ok(Some(if found.is_symlink() {
            self.link(root, path)
        } else if found.is_file() && (self.is_wanted)(Entry::File(&path)) {
            file(root, &path, path.clone(), found.len())
        } else {
            Found::Other(path)
        }))
    }

    fn link(&self, root: &Arc<Root>, path: PathBuf) -> Found {
        match root.resolve(&path) {
            Link::Outside(problem) => Found::Refused(Place { path: root.shown(&path), part: Part::Whole }, problem),
            Link::File(target, bytes) if (self.is_wanted)(Entry::File(&path)) && !self.is_reached(&target) => {
                file(root, &path, target, bytes)
            }
            Link::File(..) | Link::Ignored => Found::Other(path),
        }
    }

    /// Whether the walk reaches this path from the root anyway, so that a link to it would read it
    /// twice.
    fn is_reached(&self, path: &Path) -> bool {
        let mut folders = path.parent().into_iter().flatten();
        let is_entered = |name: &OsStr| !is_hidden(name) && (self.is_wanted)(Entry::Folder(name));
        !path.file_name().is_some_and(is_hidden) && folders.all(is_entered) && (self.is_wanted)(Entry::File(path))
    }
}

impl Folder {
    /// Opens a folder by its path from the root.
    fn open(root: &Arc<Root>, path: PathBuf, above: &Rules) -> io::Result<Self> {
        let entries = fs::read_dir(root.path().join(&path))?;
        let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        let has = |name: &str| names.binary_search_by(|one| one.as_os_str().cmp(OsStr::new(name))).is_ok();
        let rules = above.within(root, &path, has)?;
        Ok(Self { root: Arc::clone(root), path, names: names.into_iter(), rules })
    }
}

impl Iterator for Walk<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let (shown, found) = match self.open.last_mut() {
                Some(folder) => {
                    let Some(name) = folder.names.next() else {
                        self.open.pop();
                        continue;
                    };
                    let (root, path) = (Arc::clone(&folder.root), folder.path.join(name));
                    let rules = folder.rules.clone();
                    (root.shown(&path), self.entry(&root, path, &rules))
                }
                None => {
                    let path = self.paths.next()?;
                    (path.clone(), self.named(path))
                }
            };
            match found {
                Ok(None) => {}
                Ok(found) => return found,
                Err(error) => {
                    return Some(Found::Refused(Place { path: shown, part: Part::Whole }, error.into()));
                }
            }
        }
    }
}

/// Makes the result for a file that is called `path` and is at `target`, both from the root.
fn file(root: &Arc<Root>, path: &Path, target: PathBuf, bytes: u64) -> Found {
    let absolute = Some(root.path().join(path));
    let location = Location::Within(Arc::clone(root), target);
    Found::File(Origin { path: root.shown(path), absolute, location, bytes })
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ingest::is_wanted, origin::absolute};

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
        for one in Walk::new(&paths, &is_wanted) {
            match one {
                Found::File(file) => found.push((file.path.strip_prefix(&root).unwrap().to_owned(), file.is_named())),
                Found::Other(_) | Found::Ignored => others += 1,
                Found::Refused(place, _) => problems.push(place.to_string()),
            }
        }
        let names: Vec<_> = found.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(names, ["README", "a.txt", "b/deep/z.md", "c.JSONL", "photo.png"]);
        assert_eq!(others, 3, "photo.png, the link to the folder, and the link to a.txt");
        assert!(found.last().unwrap().1);
        assert!(problems[0].ends_with("missing"));
        assert_eq!(Walk::new(&paths, &is_wanted).count().0, 5);
        fs::remove_dir_all(root).unwrap();
    }

    // A Kubernetes volume holds links to files in a hidden folder next to them.
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
        for one in Walk::new(&paths, &is_wanted) {
            match one {
                Found::File(file) => {
                    let text = io::read_to_string(file.location.open().unwrap()).unwrap();
                    read.push((file.absolute.unwrap(), text));
                }
                Found::Refused(place, _) => refused.push(place.path.file_name().unwrap().to_owned()),
                Found::Other(_) | Found::Ignored => others += 1,
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
        let mut walk = Walk::new(&paths, &is_wanted);
        walk.next();
        assert_eq!(walk.open[0].names.len(), 2_000, "the first is here before the others were looked at");
        assert_eq!(walk.count().0, 2_000);
        fs::remove_dir_all(root).unwrap();
    }
}
