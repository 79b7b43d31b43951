//! Counts the records that are no longer in any file, and deletes them on request.
//!
//! A file is gone if the system says that it does not exist, but not if the file cannot be
//! accessed. A record that another file holds as well stays.
//!
//! The system also says so of every file on a disk that is not mounted, whose mount point is an
//! empty folder. So somebody must agree before an empty folder, or a path that lost more than half
//! of its records, has its records deleted.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use pgrecall_postgres::db::{DbError, Scope};
use pgrecall_store::{
    files,
    forget::{self, How},
};
use shared::engine::Engine;

use crate::{
    STDIN, Tally,
    origin::{absolute, tracked, untracked},
};

/// Records that one transaction deletes; it locks them, their jobs and their passages.
const MAX_DELETED: usize = 200;
/// Empty folders below a path about which somebody is asked. One is enough to delete nothing.
const MAX_EMPTY_FOLDERS: usize = 8;
/// What an empty file system may contain.
const LOST_AND_FOUND: &str = "lost+found";

/// A path that a person named, as it was before the run.
#[derive(Debug)]
pub(super) struct Before {
    path: String,
    /// Records that the files at or below the path held.
    held: u64,
}

/// A path that lost so many records that somebody must agree to their deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The path.
    pub path: PathBuf,
    /// Number of records to delete.
    pub records: u64,
    /// Number of records that its files held before the run.
    pub held: u64,
    /// Whether the path is a folder without any files.
    pub is_empty: bool,
}

/// The records of one path that are no longer in any file.
struct Released {
    path: String,
    /// The rows of the files that are gone.
    gone: Vec<i64>,
    records: u64,
    /// Empty folders below the path in which files that are gone were.
    empty_folders: BTreeSet<String>,
}

/// Counts the records of each path before the run: a run that finds other files there must not
/// count as keeping half of them.
pub(super) async fn before(engine: &Engine, scope: &Scope, paths: &[PathBuf]) -> Result<Vec<Before>, DbError> {
    let mut all = Vec::new();
    for path in roots(paths) {
        let held = files::count_held(engine.db(), scope, &path).await?;
        all.push(Before { path, held });
    }
    Ok(all)
}

/// Counts the records that were ingested from these paths and are no longer in any file.
pub(super) async fn count(engine: &Engine, scope: &Scope, paths: &[PathBuf], tally: &mut Tally) -> Result<(), DbError> {
    for path in present(roots(paths)) {
        tally.removable += released(engine, scope, path).await?.records;
    }
    Ok(())
}

/// Deletes the records that were ingested from these paths and are no longer in any file.
///
/// Deletes nothing if a path lost too much and `agrees` returns false.
pub(super) async fn prune(
    engine: &Engine,
    scope: &Scope,
    before: Vec<Before>,
    agrees: impl AsyncFnOnce(&[Loss]) -> bool,
    tally: &mut Tally,
) -> Result<(), DbError> {
    let (mut all, mut losses) = (Vec::new(), Vec::new());
    for Before { path, held } in before.into_iter().filter(|before| !is_gone(&before.path)) {
        let released = released(engine, scope, path).await?;
        losses.extend(Loss::of(&released.path, released.records, held));
        for folder in &released.empty_folders {
            let records = count_released(engine, scope, folder, &released.gone).await?;
            losses.extend(Loss::of(folder, records, files::count_held(engine.db(), scope, folder).await?));
        }
        all.push(released);
    }
    if !losses.is_empty() && !agrees(&losses).await {
        tally.withheld += all.iter().map(|released| released.records).sum::<u64>();
        return Ok(());
    }
    for released in &all {
        tally.removed += delete(engine, scope, released).await?;
    }
    Ok(())
}

async fn released(engine: &Engine, scope: &Scope, path: String) -> Result<Released, DbError> {
    let (gone, empty_folders) = gone(engine, scope, &path).await?;
    let records = count_released(engine, scope, &path, &gone).await?;
    Ok(Released { path, gone, records, empty_folders })
}

async fn count_released(engine: &Engine, scope: &Scope, path: &str, gone: &[i64]) -> Result<u64, DbError> {
    let (mut records, mut after) = (0, 0);
    loop {
        let page = files::released(engine.db(), scope, path, gone, after).await?;
        let Some((last, _)) = page.last() else { return Ok(records) };
        after = *last;
        records += page.len() as u64;
    }
}

async fn delete(engine: &Engine, scope: &Scope, released: &Released) -> Result<u64, DbError> {
    let Released { path, gone, .. } = released;
    let (mut removed, mut after) = (0, 0);
    loop {
        let page = files::released(engine.db(), scope, path, gone, after).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        let ids: Vec<_> = page.into_iter().map(|(_, id)| id).collect();
        for some in ids.chunks(MAX_DELETED) {
            removed += forget::forget(engine.db(), scope, some, How::Keep).await?.sources;
        }
    }
    // The files are dropped last: a run that is killed earlier finds them gone again, and
    // continues.
    if !gone.is_empty() {
        files::forget(engine.db(), scope, gone).await?;
    }
    Ok(removed)
}

impl Loss {
    /// Returns the loss if somebody must agree to it.
    fn of(path: &str, records: u64, held: u64) -> Option<Self> {
        let path = existing(path).unwrap_or_else(|| path.into());
        let is_empty = is_empty(&path);
        (records > 0 && (is_empty || records > held / 2)).then_some(Self { path, records, held, is_empty })
    }
}

/// Whether the path is a folder without visible entries, as a mount point is.
fn is_empty(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return false };
    let mut names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    names.all(|name| name.as_encoded_bytes().starts_with(b".") || name == LOST_AND_FOUND)
}

/// Returns the paths that exist. A missing folder may be a disk that is not mounted, so its files
/// are not known to be gone.
fn present(paths: Vec<String>) -> impl Iterator<Item = String> {
    paths.into_iter().filter(|path| !is_gone(path))
}

/// Returns the paths in the form in which files are tracked, without paths within another.
fn roots(paths: &[PathBuf]) -> Vec<String> {
    let mut all: Vec<PathBuf> =
        paths.iter().filter(|path| path.as_os_str() != STDIN).map(|path| absolute(path)).collect();
    all.sort_unstable();
    all.dedup_by(|path, earlier| path.starts_with(earlier));
    all.iter().map(|path| tracked(path)).collect()
}

/// Returns the rows of the files that are gone, and the empty folders in which they were.
async fn gone(engine: &Engine, scope: &Scope, path: &str) -> Result<(Vec<i64>, BTreeSet<String>), DbError> {
    let (mut gone, mut after) = (Vec::new(), String::new());
    let (mut folders, mut seen) = (BTreeSet::new(), None);
    loop {
        let page = files::under(engine.db(), scope, path, &after).await?;
        let Some(last) = page.last() else { return Ok((gone, folders)) };
        after = last.path.clone();
        for known in page.iter().filter(|known| is_gone(&known.path)) {
            gone.extend(&known.files);
            let folder = known.path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
            // The paths are in order, so most files of a folder follow one another.
            if folders.len() < MAX_EMPTY_FOLDERS && seen != folder {
                folders.extend(folder.as_deref().and_then(|folder| empty_below(path, folder)));
                seen = folder;
            }
        }
    }
}

/// Returns the folder at or above `folder` and below `root` that still exists, if it is empty.
fn empty_below(root: &str, folder: &str) -> Option<String> {
    let mut folder = folder;
    while folder.len() > root.len() {
        if let Some(path) = existing(folder) {
            return is_empty(&path).then(|| folder.to_owned());
        }
        (folder, _) = folder.rsplit_once('/')?;
    }
    None
}

fn is_gone(path: &str) -> bool {
    existing(path).is_none()
}

/// Returns the path that is tracked under this text, unless the system says that it does not exist.
fn existing(path: &str) -> Option<PathBuf> {
    let exists =
        |path: &PathBuf| fs::symlink_metadata(path).err().is_none_or(|error| error.kind() != ErrorKind::NotFound);
    Some(PathBuf::from(path)).filter(exists).or_else(|| untracked(path).filter(exists))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_and_an_empty_folder_need_somebody_who_agrees() {
        let root = std::env::temp_dir().join(format!("pgrecall-prune-{}", std::process::id()));
        let is_loss = |records, held| Loss::of(root.to_str().unwrap(), records, held).is_some();
        fs::create_dir_all(root.join("kept")).unwrap();
        for (records, held, expected) in
            [(0, 0, false), (1, 2, false), (2, 3, true), (1, 1, true), (5, 10, false), (6, 10, true), (1, 0, true)]
        {
            assert_eq!(is_loss(records, held), expected, "{records} of {held}");
        }
        fs::remove_dir(root.join("kept")).unwrap();
        fs::create_dir(root.join(LOST_AND_FOUND)).unwrap();
        fs::write(root.join(".keep"), "").unwrap();
        assert!(is_loss(1, 100), "an empty file system");
        assert!(!is_loss(0, 100), "nothing to delete");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn an_empty_folder_below_the_root_is_found_from_the_files_that_were_in_it() {
        let root = std::env::temp_dir().join(format!("pgrecall-mounts-{}", std::process::id()));
        for folder in ["usb/lost+found", "kept/sub"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("kept/a.md"), "text").unwrap();
        let root = root.to_str().unwrap();
        for (folder, expected) in [
            ("/usb", Some("/usb")),
            ("/usb/deep/er", Some("/usb")),
            ("/kept", None),
            ("/kept/sub", Some("/kept/sub")),
            ("/kept/removed", None),
            ("/removed", None),
            ("", None),
        ] {
            let expected = expected.map(|folder| format!("{root}{folder}"));
            assert_eq!(empty_below(root, &format!("{root}{folder}")), expected, "{folder}");
        }
        assert_eq!(empty_below(&format!("{root}/usb"), &format!("{root}/usb")), None, "the root has its own rule");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_path_within_another_is_looked_at_once() {
        let paths = ["/a/b/c", "/a/b", "-", "/a/bc", "/a/b"].map(PathBuf::from);
        assert_eq!(roots(&paths), ["/a/b", "/a/bc"]);
    }
}
