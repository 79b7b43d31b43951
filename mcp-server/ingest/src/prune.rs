//! Counts the records that are no longer in any file, and deletes them on request.
//!
//! A file is gone if the system says that it does not exist, but not if the file cannot be
//! accessed. A record that another file holds as well stays.

use std::{
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

use crate::{STDIN, Tally, origin::absolute};

/// Records that one transaction deletes; it locks them, their jobs and their passages.
const MAX_DELETED: usize = 200;

/// Finds the records that were ingested from these paths and are no longer in any file.
///
/// Deletes them if `removes` is set, and otherwise only counts them.
pub(super) async fn prune(
    engine: &Engine,
    scope: &Scope,
    paths: &[PathBuf],
    removes: bool,
    tally: &mut Tally,
) -> Result<(), DbError> {
    // A missing folder may be a disk that is not mounted, so its files are not known to be gone.
    for path in roots(paths).into_iter().filter(|path| !is_gone(path)) {
        let gone = gone(engine, scope, &path).await?;
        let mut after = 0;
        loop {
            let page = files::released(engine.db(), scope, &path, &gone, after).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            let ids: Vec<_> = page.into_iter().map(|(_, id)| id).collect();
            if !removes {
                tally.removable += ids.len() as u64;
                continue;
            }
            for some in ids.chunks(MAX_DELETED) {
                tally.removed += forget::forget(engine.db(), scope, some, How::Keep).await?.sources;
            }
        }
        // The files are dropped last: a run that is killed earlier finds them gone again, and
        // continues.
        if removes && !gone.is_empty() {
            files::forget(engine.db(), scope, &gone).await?;
        }
    }
    Ok(())
}

/// Returns the paths in the form in which files are tracked, without paths within another.
fn roots(paths: &[PathBuf]) -> Vec<String> {
    let mut all: Vec<PathBuf> =
        paths.iter().filter(|path| path.as_os_str() != STDIN).map(|path| absolute(path)).collect();
    all.sort_unstable();
    all.dedup_by(|path, earlier| path.starts_with(earlier));
    all.iter().map(|path| path.to_string_lossy().into_owned()).collect()
}

async fn gone(engine: &Engine, scope: &Scope, path: &str) -> Result<Vec<i64>, DbError> {
    let (mut gone, mut after) = (Vec::new(), String::new());
    loop {
        let page = files::under(engine.db(), scope, path, &after).await?;
        let Some(last) = page.last() else { return Ok(gone) };
        after = last.path.clone();
        gone.extend(page.iter().filter(|known| is_gone(&known.path)).flat_map(|known| &known.files));
    }
}

fn is_gone(path: &str) -> bool {
    fs::symlink_metadata(Path::new(path)).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_within_another_is_looked_at_once() {
        let paths = ["/a/b/c", "/a/b", "-", "/a/bc", "/a/b"].map(PathBuf::from);
        assert_eq!(roots(&paths), ["/a/b", "/a/bc"]);
    }
}
