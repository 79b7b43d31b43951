//! Ingested files: which version of each file was read to its end, and which sources it contains.
//!
//! A file is marked in the transaction that writes its last records, so that the mark proves that
//! they are stored: a run that is killed reads this file again, and no other. Each source of a file
//! has the version in which it was last found, which tells what the file contained before. If two
//! runs read different versions at the same time, the counts do not match, and the next run reads
//! the file again.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};

/// Number of paths on a page.
const MAX_PATHS: i64 = 1_000;
/// Number of sources on a page. Every page checks all files once more, so there should be few
/// pages.
const MAX_SOURCES: i64 = 50_000;

/// A file in its present version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileVersion {
    /// Path in a form that does not depend on the working directory.
    pub path: String,
    /// The requested collection; empty if the records name their own.
    pub collection: String,
    /// Hash of the file's bytes, of the request, and of the version of the reader.
    pub version: Uuid,
}

/// A file with records in a batch.
#[derive(Debug, Clone)]
pub struct FileRecord {
    /// The file.
    pub file: FileVersion,
    /// Positions of the file's records in the batch.
    pub records: Vec<usize>,
    /// Set for the last batch of a file that had no broken part: the ids that earlier batches wrote
    /// for the file.
    pub finishes: Option<HashSet<Uuid>>,
}

/// A path from which something was ingested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The path.
    pub path: String,
    /// Ids of its rows, one for each requested collection.
    pub files: Vec<i64>,
}

/// Returns the number of sources of each file, if the file was read in exactly this version and all
/// its sources still exist.
pub async fn known(db: &Db, scope: &Scope, files: &[FileVersion]) -> Result<Vec<Option<u32>>, DbError> {
    let (paths, collections, versions) = columns(files.iter());
    let parameters = parameters![paths, collections, versions];
    let mut known = vec![None; files.len()];
    for row in db.query(scope, sql!("known_files"), parameters).await? {
        known[row.get::<_, i64>("place") as usize - 1] = Some(row.get::<_, i32>("sources") as u32);
    }
    Ok(known)
}

/// Returns the ids of the sources of these files that are not embedded yet.
pub async fn waiting(db: &Db, scope: &Scope, files: &[FileVersion]) -> Result<Vec<Uuid>, DbError> {
    let (paths, collections, versions) = columns(files.iter());
    let rows = db.query(scope, sql!("waiting_in_files"), parameters![paths, collections, versions]).await?;
    Ok(rows.iter().map(|row| row.get("source_id")).collect())
}

/// Marks the files of a batch. `written` has the id of each record of the batch that was not
/// refused.
pub(crate) async fn mark(
    transaction: &Transaction,
    marks: &[FileRecord],
    written: &HashMap<usize, Uuid>,
) -> Result<(), DbError> {
    if marks.is_empty() {
        return Ok(());
    }
    let (paths, collections, versions) = columns(marks.iter().map(|mark| &mark.file));
    let holds: Vec<bool> = marks.iter().map(|mark| !mark.records.is_empty()).collect();
    let rows = transaction.query_typed(sql!("mark_files"), parameters![paths, collections, versions, holds]).await?;
    let ids: HashMap<(String, String), i64> =
        rows.iter().map(|row| ((row.get("path"), row.get("collection")), row.get("id"))).collect();
    let (mut files, mut sources, mut found_in) = (Vec::new(), Vec::new(), Vec::new());
    let (mut finished, mut counts) = (Vec::new(), Vec::new());
    for mark in marks {
        let Some(id) = ids.get(&(mark.file.path.clone(), mark.file.collection.clone())) else { continue };
        let own: HashSet<Uuid> = mark.records.iter().filter_map(|record| written.get(record).copied()).collect();
        // If the database refused a record, the file is incomplete and must be read again.
        let is_complete = mark.records.iter().all(|record| written.contains_key(record));
        if let Some(earlier) = mark.finishes.as_ref().filter(|_| is_complete) {
            finished.push(*id);
            counts.push(i32::try_from(earlier.union(&own).count()).unwrap_or(i32::MAX));
        }
        for source in own {
            files.push(*id);
            sources.push(source);
            found_in.push(mark.file.version);
        }
    }
    transaction.execute_typed(sql!("link_sources"), parameters![files, sources, found_in]).await?;
    transaction.execute_typed(sql!("finish_files"), parameters![finished, counts]).await?;
    Ok(())
}

/// Removes sources from the files that contain them.
pub(crate) async fn unlink(transaction: &Transaction, sources: &[i64]) -> Result<(), DbError> {
    transaction.execute_typed(sql!("unlink_sources"), parameters![sources]).await?;
    Ok(())
}

/// Returns a page of the ingested paths at or below `path`, in order, after `after`.
pub async fn under(db: &Db, scope: &Scope, path: &str, after: &str) -> Result<Vec<Known>, DbError> {
    let (from, to) = below(path);
    let rows = db.query(scope, sql!("files_under"), parameters![path, from, to, after, MAX_PATHS]).await?;
    Ok(rows.iter().map(|row| Known { path: row.get("path"), files: row.get("files") }).collect())
}

/// Returns the path of a file that the caller ingested and that holds a source.
pub async fn path_of(db: &Db, scope: &Scope, source: Uuid) -> Result<Option<String>, DbError> {
    let rows = db.query(scope, sql!("file_of_source"), parameters![source]).await?;
    Ok(rows.first().map(|row| row.get("path")))
}

/// Counts the sources that the files at or below `path` hold.
pub async fn count_held(db: &Db, scope: &Scope, path: &str) -> Result<u64, DbError> {
    let (from, to) = below(path);
    let rows = db.query(scope, sql!("count_held"), parameters![path, from, to]).await?;
    Ok(rows.first().map_or(0, |row| row.get::<_, i64>("sources").cast_unsigned()))
}

/// Returns a page of sources with an id above `after` that no file contains any longer, once the
/// files `gone` are deleted.
pub async fn released(
    db: &Db,
    scope: &Scope,
    path: &str,
    gone: &[i64],
    after: i64,
) -> Result<Vec<(i64, Uuid)>, DbError> {
    let (from, to) = below(path);
    let rows = db.query(scope, sql!("released_sources"), parameters![gone, path, from, to, after, MAX_SOURCES]).await?;
    Ok(rows.iter().map(|row| (row.get("id"), row.get("source_id"))).collect())
}

/// Deletes the rows of these files. Another file may contain the same source, and then the next run
/// reads that file again.
pub async fn forget(db: &Db, scope: &Scope, files: &[i64]) -> Result<(), DbError> {
    db.run(scope, async |transaction| {
        transaction.execute_typed(sql!("reread_files"), parameters![files]).await?;
        transaction.execute_typed(sql!("drop_files"), parameters![files]).await?;
        Ok(())
    })
    .await
}

/// Returns the range of paths below a folder, in byte order: from the name with a slash to the name
/// with `0`, the character after the slash.
fn below(path: &str) -> (String, String) {
    let folder = path.trim_end_matches('/');
    (format!("{folder}/"), format!("{folder}0"))
}

fn columns<'f>(files: impl Iterator<Item = &'f FileVersion>) -> (Vec<&'f str>, Vec<&'f str>, Vec<Uuid>) {
    files.map(|file| (file.path.as_str(), file.collection.as_str(), file.version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_a_folder_lies_what_its_name_with_a_slash_begins() {
        let (from, to) = below("/docs");
        for (path, lies_below) in
            [("/docs/a", true), ("/docs/~", true), ("/docs", false), ("/docs.md", false), ("/docs0", false)]
        {
            assert_eq!(from.as_str() <= path && path < to.as_str(), lies_below, "{path}");
        }
        assert_eq!(below("/"), ("/".to_owned(), "0".to_owned()));
    }
}
