//! Which files there are to read.
//!
//! A folder is walked in the order of names, so that two runs are alike. Hidden files and what builds leave behind are passed
//! over. Links to folders are not followed, so that no loop and no second copy of a file comes of them; a path that a person
//! gave is, whatever it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Format, Part, Place, Problem, STDIN};

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

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) files: Vec<File>,
    /// Files in the folders whose names promise no format that is understood.
    pub(super) other_files: u64,
    pub(super) problems: Vec<(Place, Problem)>,
}

/// The files under these paths.
pub(super) fn files(paths: &[PathBuf]) -> Walked {
    let mut walked = Walked::default();
    for path in paths {
        if path.as_os_str() == STDIN {
            walked.files.push(File { path: path.clone(), bytes: 0, named: true });
            continue;
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => walked.folder(path),
            Ok(found) => walked.files.push(File { path: path.clone(), bytes: found.len(), named: true }),
            Err(error) => walked.broken(path, &error),
        }
    }
    walked
}

impl Walked {
    fn folder(&mut self, folder: &Path) {
        let entries = match fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()) {
            Ok(entries) => entries,
            Err(error) => return self.broken(folder, &error),
        };
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => {
                    if !PASSED_OVER.contains(&&*name) {
                        self.folder(&path);
                    }
                }
                Ok(found) => self.file(&path, found),
                Err(error) => self.broken(&path, &error),
            }
        }
    }

    fn file(&mut self, path: &Path, found: fs::Metadata) {
        // A link to a file counts as the file; one that leads nowhere, or to a folder, as nothing.
        let found = if found.is_symlink() { fs::metadata(path).ok() } else { Some(found) };
        match found {
            Some(found) if found.is_file() && Format::of(path).is_some() => {
                self.files.push(File { path: path.to_path_buf(), bytes: found.len(), named: false });
            }
            _ => self.other_files += 1,
        }
    }

    fn broken(&mut self, path: &Path, error: &io::Error) {
        let place = Place { path: path.to_path_buf(), part: Part::Whole };
        self.problems.push((place, Problem::Broken(format!("it cannot be read ({error})"))));
    }
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
        let walked = files(&[root.clone(), root.join("photo.png"), root.join("missing")]);
        let found: Vec<_> =
            walked.files.iter().map(|file| file.path.strip_prefix(&root).unwrap().to_str().unwrap()).collect();
        assert_eq!(found, ["README", "a.txt", "b/deep/z.md", "b/link.txt", "c.JSONL", "photo.png"]);
        assert_eq!(walked.other_files, 2, "photo.png and the link to the folder");
        assert!(walked.files.last().unwrap().named);
        assert!(walked.problems[0].0.to_string().ends_with("missing"));
        fs::remove_dir_all(root).unwrap();
    }
}
