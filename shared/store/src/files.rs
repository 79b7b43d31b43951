//! Files that were ingested: which version of each was read to its end, and which sources came of it.
//!
//! A file is noted in the transaction that writes its last records, so that what is noted is there: a run that is killed reads the
//! file again, and no other. A source remembers the version that it was last found in. By that a file knows what it held before, and
//! two runs that read different versions at once leave a count that does not fit, which brings the file to be read again.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};

/// Paths of one page.
const PATHS: i64 = 1_000;
/// Sources of one page. Each page looks at every file again, so there should be few.
const SOURCES: i64 = 50_000;

/// A file, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileVersion {
    /// Where it lies, in a form that holds from anywhere.
    pub path: String,
    /// The collection that was asked for; empty where its records say it themselves.
    pub collection: String,
    /// A hash of its bytes, of what was asked for, and of the program that reads it.
    pub version: Uuid,
}

/// A file of which some records are in a batch.
#[derive(Debug, Clone)]
pub struct Mark {
    /// The file.
    pub file: FileVersion,
    /// Which of the batch's records are its.
    pub records: Vec<usize>,
    /// Where this is the last of it and nothing in it was broken: the ids that earlier batches wrote of it.
    pub finishes: Option<HashSet<Uuid>>,
}

/// A path from which something was ingested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The path.
    pub path: String,
    /// What is noted of it, once for each collection that was asked for.
    pub files: Vec<i64>,
}

/// How many sources came of each of these files, for those that are known in just this version and have all of them still.
pub async fn known(db: &Db, scope: &Scope, files: &[FileVersion]) -> Result<Vec<Option<u32>>, DbError> {
    let (paths, collections, versions) = columns(files.iter());
    let parameters = parameters![paths, collections, versions];
    let mut known = vec![None; files.len()];
    for row in db.query(scope, sql!("known_files"), parameters).await? {
        known[row.get::<_, i64>("place") as usize - 1] = Some(row.get::<_, i32>("sources") as u32);
    }
    Ok(known)
}

/// Notes what was written of files. `written`: the id that each record of the batch has, unless it was refused.
pub(crate) async fn mark(
    transaction: &Transaction,
    marks: &[Mark],
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
        // One that the database refused is missing: the file is not whole, and is read again.
        let is_whole = mark.records.iter().all(|record| written.contains_key(record));
        if let Some(earlier) = mark.finishes.as_ref().filter(|_| is_whole) {
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

/// Takes sources from the files that hold them.
pub(crate) async fn unlink(transaction: &Transaction, sources: &[i64]) -> Result<(), DbError> {
    transaction.execute_typed(sql!("unlink_sources"), parameters![sources]).await?;
    Ok(())
}

/// A page of what was ingested from this path or below it, after a path.
pub async fn under(db: &Db, scope: &Scope, path: &str, after: &str) -> Result<Vec<Known>, DbError> {
    let (from, to) = below(path);
    let rows = db.query(scope, sql!("files_under"), parameters![path, from, to, after, PATHS]).await?;
    Ok(rows.iter().map(|row| Known { path: row.get("path"), files: row.get("files") }).collect())
}

/// A page of sources, after one, that no file holds any more now that these files of the path are gone.
pub async fn released(
    db: &Db,
    scope: &Scope,
    path: &str,
    gone: &[i64],
    after: i64,
) -> Result<Vec<(i64, Uuid)>, DbError> {
    let (from, to) = below(path);
    let rows = db.query(scope, sql!("released_sources"), parameters![gone, path, from, to, after, SOURCES]).await?;
    Ok(rows.iter().map(|row| (row.get("id"), row.get("source_id"))).collect())
}

/// Forgets that there were these files. What they held may be another file's, too, which is read again the next time.
pub async fn forget(db: &Db, scope: &Scope, files: &[i64]) -> Result<(), DbError> {
    db.run(scope, async |transaction| {
        transaction.execute_typed(sql!("reread_files"), parameters![files]).await?;
        transaction.execute_typed(sql!("drop_files"), parameters![files]).await?;
        Ok(())
    })
    .await
}

/// What lies below a path, byte by byte: from its name with a slash up to its name with the sign after a slash.
fn below(path: &str) -> (String, String) {
    let folder = path.trim_end_matches('/');
    (format!("{folder}/"), format!("{folder}0"))
}

fn columns<'f>(files: impl Iterator<Item = &'f FileVersion>) -> (Vec<&'f str>, Vec<&'f str>, Vec<Uuid>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for file in files {
        columns.0.push(file.path.as_str());
        columns.1.push(file.collection.as_str());
        columns.2.push(file.version);
    }
    columns
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
