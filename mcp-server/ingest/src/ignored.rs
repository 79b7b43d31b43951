//! Decides which files of a folder an ingest leaves out: those of `--exclude` and, in a git work
//! tree, those that its `.gitignore` files name.
//!
//! The patterns and their meaning are those of git. A folder with `.git` begins a work tree, whose
//! rules reach no further than the next one. A path that a person named is read whatever the rules
//! say.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use crate::root::{Location, Root};

/// Size of the longest file of patterns that is read. The patterns of a folder from somebody else
/// are compiled, which takes memory and time.
const MAX_FILE_BYTES: usize = 64 * 1024;
/// Bytes of all patterns that apply in one folder.
const MAX_BYTES: usize = 512 * 1024;
const GITIGNORE: &str = ".gitignore";
const GIT: &str = ".git";
/// Patterns of a work tree that are not shared with others.
const GIT_EXCLUDE: &str = ".git/info/exclude";

/// What a person wants left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    /// The patterns of `--exclude`.
    pub(crate) exclude: Vec<String>,
    /// Whether the rules of git count.
    pub(crate) git: bool,
}

/// The rules of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    excluded: Arc<Gitignore>,
    reads_git: bool,
    /// The rules of the innermost file, if the folder is in a work tree.
    tree: Option<Arc<Level>>,
}

/// The rules of one file, after those of the folders above it.
#[derive(Debug)]
struct Level {
    above: Option<Arc<Level>>,
    rules: Gitignore,
    /// Bytes of the patterns of this file and of those above it.
    bytes: usize,
}

/// Refuses a pattern that cannot be read.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    // git takes such a pattern as one that matches nothing, and a person did not mean that.
    let unescaped = pattern.replace("\\[", "");
    if unescaped.rsplit_once('[').is_some_and(|(_, class)| !class.contains(']')) {
        return Err("its `[` is not closed: write `\\[` for the character".to_owned());
    }
    let mut builder = GitignoreBuilder::new("/");
    let added = builder.add_line(None, pattern).map(|_| ());
    let built = added.and_then(|()| builder.build());
    match built {
        Ok(built) if built.is_empty() => Err("it matches nothing: write a pattern as in .gitignore".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it is not a pattern as in .gitignore ({error})")),
    }
}

impl Rules {
    /// Returns the rules above a folder that a person named.
    pub(crate) fn above(root: &Root, wishes: &Wishes) -> io::Result<Self> {
        let path = root.path();
        let mut excluded = GitignoreBuilder::new(path);
        for pattern in &wishes.exclude {
            excluded.add_line(None, pattern).map_err(io::Error::other)?;
        }
        let excluded = Arc::new(excluded.build().map_err(io::Error::other)?);
        let mut rules = Self { excluded, reads_git: wishes.git, tree: None };
        let work_tree = path.ancestors().find(|folder| fs::symlink_metadata(folder.join(GIT)).is_ok());
        if let Some(work_tree) = work_tree.filter(|_| wishes.git) {
            let mut folders: Vec<&Path> = path.ancestors().take_while(|folder| folder.starts_with(work_tree)).collect();
            folders.reverse();
            for (folder, next) in folders.iter().zip(&folders[1..]) {
                let is_top = *folder == work_tree;
                rules = rules.enter(folder, is_top, |name| read(&Location::Named(folder.join(name)), folder, name))?;
                if rules.leaves_out(next, true) {
                    // The person named a folder that git ignores, and wants it.
                    rules.tree = None;
                }
            }
            rules.tree = rules.tree.or_else(|| Some(Arc::new(Level::empty(path))));
        }
        Ok(rules)
    }

    /// Returns the rules within a folder of the walk, which has these entries.
    pub(crate) fn within(&self, root: &Arc<Root>, path: &Path, has: impl Fn(&str) -> bool) -> io::Result<Self> {
        let begins = has(GIT);
        if !self.reads_git || !(begins || self.tree.is_some() && has(GITIGNORE)) {
            return Ok(self.clone());
        }
        let folder = root.path().join(path);
        let location = |name: &str| Location::Within(Arc::clone(root), path.join(name));
        self.enter(&folder, begins, |name| read(&location(name), &folder, name))
    }

    /// Whether this path, an entry of the folder, is left out.
    pub(crate) fn leaves_out(&self, path: &Path, is_dir: bool) -> bool {
        let mut levels = std::iter::successors(self.tree.as_deref(), |level| level.above.as_deref());
        let rules = std::iter::once(&*self.excluded).chain(std::iter::from_fn(|| Some(&levels.next()?.rules)));
        for rules in rules {
            match rules.matched(path, is_dir) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }

    fn enter(&self, folder: &Path, begins_tree: bool, read: impl Fn(&str) -> io::Result<String>) -> io::Result<Self> {
        let mut tree = if begins_tree { Some(Arc::new(Level::empty(folder))) } else { self.tree.clone() };
        let names: &[&str] = if begins_tree { &[GIT_EXCLUDE, GITIGNORE] } else { &[GITIGNORE] };
        for name in names {
            match read(name) {
                Ok(patterns) => tree = Some(Arc::new(Level::of(folder, &patterns, tree)?)),
                // `.git` is a file in a linked work tree.
                Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {}
                Err(_) if *name == GIT_EXCLUDE => {}
                Err(error) => {
                    return Err(io::Error::other(format!("its {name}: {error}; --no-ignore reads the folder")));
                }
            }
        }
        Ok(Self { tree, ..self.clone() })
    }
}

impl Level {
    fn empty(folder: &Path) -> Self {
        let rules = GitignoreBuilder::new(folder).build().expect("no pattern is a valid list of patterns");
        Self { above: None, rules, bytes: 0 }
    }

    fn of(folder: &Path, patterns: &str, above: Option<Arc<Self>>) -> io::Result<Self> {
        let bytes = above.as_ref().map_or(0, |above| above.bytes) + patterns.len();
        if bytes > MAX_BYTES {
            return Err(io::Error::other(format!(
                "the patterns of the folders above have more than {MAX_BYTES} bytes"
            )));
        }
        let mut builder = GitignoreBuilder::new(folder);
        for line in patterns.trim_start_matches('\u{feff}').lines() {
            // git ignores a pattern that it cannot read.
            let _ = builder.add_line(None, line);
        }
        Ok(Self { above, rules: builder.build().map_err(io::Error::other)?, bytes })
    }
}

fn read(location: &Location, folder: &Path, name: &str) -> io::Result<String> {
    // git does not follow a link here either.
    if !fs::symlink_metadata(folder.join(name))?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut bytes = Vec::new();
    location.open()?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ingest::is_wanted,
        walk::{Found, Walk},
    };

    /// Makes these files below a new folder. A name that ends with `/` is a folder.
    fn tree(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("pgrecall-ignored-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(if file.ends_with('/') { &path } else { path.parent().unwrap() }).unwrap();
            if !file.ends_with('/') {
                fs::write(path, text).unwrap();
            }
        }
        root
    }

    /// Returns the names of the files that a walk of `path` finds, how many it leaves out, and the
    /// problems.
    fn walked(path: &Path, exclude: &[&str], git: bool) -> (Vec<String>, usize, Vec<String>) {
        let wishes = Wishes { exclude: exclude.iter().map(|one| (*one).to_owned()).collect(), git };
        let (mut files, mut ignored, mut problems) = (Vec::new(), 0, Vec::new());
        for found in Walk::new(&[path.to_owned()], &is_wanted).leaving_out(wishes) {
            match found {
                Found::File(file) => {
                    files.push(file.path.strip_prefix(path).unwrap().to_string_lossy().into_owned());
                }
                Found::Ignored => ignored += 1,
                Found::Other(_) => {}
                Found::Refused(_, problem) => problems.push(format!("{problem:?}")),
            }
        }
        (files, ignored, problems)
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        for (patterns, ignored) in [
            ("", &[][..]),
            ("# a comment\n\n", &[]),
            ("*.log.md", &["a.log.md", "d/b.log.md"]),
            ("/a.log.md", &["a.log.md"]),
            ("d/", &["d/b.log.md", "d/e/c.md", "d/x.md"]),
            ("d", &["d/b.log.md", "d/e/c.md", "d/x.md"]),
            ("d/*", &["d/b.log.md", "d/e/c.md", "d/x.md"]),
            ("d/*\n!d/x.md", &["d/b.log.md", "d/e/c.md"]),
            ("x.md/", &[]),
            ("**/c.md", &["d/e/c.md"]),
            ("d/**/c.md", &["d/e/c.md"]),
            ("e/c.md", &[]),
            ("[ab].md\r\n", &["a.md"]),
            ("\u{feff}a.md", &["a.md"]),
            ("\\#a.md", &["#a.md"]),
            ("[", &[]),
        ] {
            let all = ["#a.md", "a.log.md", "a.md", "d/b.log.md", "d/e/c.md", "d/x.md"];
            let files: Vec<(&str, &str)> =
                all.iter().map(|file| (*file, "text")).chain([(".git/", ""), (".gitignore", patterns)]).collect();
            let root = tree("patterns", &files);
            let expected: Vec<&str> = all.into_iter().filter(|file| !ignored.contains(file)).collect();
            assert_eq!(walked(&root, &[], true).0, expected, "{patterns:?}");
            assert_eq!(walked(&root, &[], false).0, all, "--no-ignore, {patterns:?}");
            // The same patterns on the command line mean the same.
            let exclude: Vec<&str> = patterns.trim_start_matches('\u{feff}').lines().collect();
            if !patterns.contains('#') && patterns != "[" {
                assert_eq!(walked(&root, &exclude, false).0, expected, "--exclude {patterns:?}");
            }
            fs::remove_dir_all(root).unwrap();
        }
    }

    #[test]
    fn rules_reach_from_the_top_of_a_work_tree_to_its_folders_and_no_further() {
        let root = tree(
            "reach",
            &[
                ("free/.gitignore", "*"),
                ("free/a.md", "no work tree"),
                ("repo/.git/info/exclude", "mine.md"),
                ("repo/.gitignore", "*.tmp.md\nbuild/\ndocs/drafts/\n"),
                ("repo/mine.md", ""),
                ("repo/a.tmp.md", ""),
                ("repo/build/b.md", ""),
                ("repo/docs/.gitignore", "!keep.tmp.md\nlocal.md\n"),
                ("repo/docs/keep.tmp.md", ""),
                ("repo/docs/other.tmp.md", ""),
                ("repo/docs/local.md", ""),
                ("repo/docs/drafts/d.md", ""),
                ("repo/local.md", ""),
                ("repo/nested/.git", "gitdir: elsewhere"),
                ("repo/nested/n.tmp.md", "another work tree"),
            ],
        );
        let all = walked(&root, &[], true);
        let read = ["free/a.md", "repo/docs/keep.tmp.md", "repo/local.md", "repo/nested/n.tmp.md"];
        assert_eq!((all.0, all.1), (read.map(str::to_owned).to_vec(), 6));
        // From within the work tree, the rules of the folders above count.
        assert_eq!(walked(&root.join("repo/docs"), &[], true).0, ["keep.tmp.md"]);
        // A person named the folder, so it is read although git ignores it.
        assert_eq!(walked(&root.join("repo/docs/drafts"), &[], true).0, ["d.md"]);
        assert_eq!(walked(&root.join("repo/build"), &[], true).0, ["b.md"]);
        assert_eq!(walked(&root.join("repo/docs"), &["keep*"], true).0, [] as [&str; 0]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn hostile_rules_are_refused_and_cost_no_memory() {
        let long = "a*b\n".repeat(MAX_FILE_BYTES / 4 + 1);
        let root = tree("hostile", &[("r/.git/", ""), ("r/.gitignore", &long), ("r/a.md", ""), ("secret", "a.md")]);
        let (files, _, problems) = walked(&root, &[], true);
        assert!(files.is_empty() && problems[0].contains("--no-ignore"), "{files:?} {problems:?}");
        assert_eq!(walked(&root, &[], false).0, ["r/a.md"]);
        // A link is not followed: its target may be a device, or a file of somebody else.
        for target in ["/dev/zero", "../secret"] {
            fs::remove_file(root.join("r/.gitignore")).unwrap();
            std::os::unix::fs::symlink(target, root.join("r/.gitignore")).unwrap();
            assert_eq!(walked(&root, &[], true).0, ["r/a.md"], "{target}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_pattern_of_the_command_line_is_checked() {
        for good in ["\\[a", "[ab].md", "[[]", "*.md", "drafts/", "/top", "!keep.md", "a b", "**/x/**"] {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        for bad in ["[", "a[", "[a", "[a]b[", "", "  ", "# comment", "a{b", "a{b,{c}"] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }
}
