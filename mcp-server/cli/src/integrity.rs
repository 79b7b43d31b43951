//! The check of `doctor` that the database's files are as Postgres wrote them.

use std::time::Duration;

use pgrecall_postgres::integrity::{self, Checked, Integrity};
use pgrecall_runtime::{
    Runtime,
    embedded::{self, Hold, PageCheck},
};
use shared::engine::Engine;

use super::context::Context;

/// Time limit of the check, during which no other process can start the database. A disk reads
/// several gigabytes in this time.
const TIME_BUDGET: Duration = Duration::from_secs(20);

/// Reads every page of the private database, including indexes, if no process uses it.
///
/// Returns `None` if the database is in use, does not exist, or cannot be read this way.
pub(super) async fn pages(context: &Context) -> Option<PageCheck> {
    let (config, home) = (&context.config, &context.config.paths.home);
    if config.database.dsn.is_some() || embedded::data_version(home).is_none() {
        return None;
    }
    // The engine opens the database next, and reports any obstacle.
    let hold = Hold::begin(home, &Runtime::at(&config.paths.runtime)).await.ok()?;
    hold.check_pages(TIME_BUDGET).await.ok()
}

/// Checks the open database: its counters, and its tables unless every page was read before.
pub(super) async fn tables(engine: &Engine, pages: Option<&PageCheck>) -> Result<Integrity, integrity::IntegrityError> {
    let were_read = matches!(pages, Some(PageCheck::Sound { .. } | PageCheck::Damaged { .. } | PageCheck::Unfinished));
    // A configured database may be too large to be read in 20 seconds.
    integrity::check(engine.session_dsn(), engine.is_embedded() && !were_read, TIME_BUDGET).await
}

const REMEDY: &str = "the disk or something else has changed the database's files: make no more changes, and restore the last good \
                      backup with `mcp-server restore`";

/// Returns whether the files are sound, and a sentence; `None` if nothing could be checked.
pub(super) fn verdict(pages: Option<&PageCheck>, tables: Option<&Integrity>) -> Option<(bool, String)> {
    if let Some(PageCheck::Damaged { detail }) = pages {
        let first = detail.lines().find(|line| line.contains("failed")).unwrap_or_default();
        return Some((false, format!("{REMEDY} ({first})")));
    }
    let tables = tables?;
    if let Checked::Damaged(said) = &tables.checked {
        return Some((false, format!("{REMEDY} ({said})")));
    }
    if tables.failures > 0 {
        return Some((false, format!("{REMEDY} ({} pages failed their checksums)", tables.failures)));
    }
    let says = if tables.has_checksums {
        what_was_read(pages, &tables.checked)
    } else {
        "pages have no checksums, so that damage by the disk would go unnoticed".to_owned()
    };
    Some((true, says))
}

fn what_was_read(pages: Option<&PageCheck>, checked: &Checked) -> String {
    match (pages, checked) {
        (Some(PageCheck::Sound { pages }), _) => format!("all {pages} pages match their checksums"),
        (Some(PageCheck::Unfinished), _) | (_, Checked::Unfinished) => {
            format!("no damage in what could be read within {} s", TIME_BUDGET.as_secs())
        }
        (_, Checked::Sound { tables, indexes }) => {
            let indexes = if *indexes { ", and the order of the indexes is right" } else { "" };
            format!("{tables} tables were read without damage{indexes}")
        }
        (_, Checked::CountersOnly | Checked::Damaged(_)) => "no page failed its checksum".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_wherever_it_was_found() {
        let tables = |failures, checked| Integrity { has_checksums: true, failures, checked };
        let sound = PageCheck::Sound { pages: 7 };
        assert_eq!(
            verdict(Some(&sound), Some(&tables(0, Checked::CountersOnly))),
            Some((true, "all 7 pages match their checksums".to_owned()))
        );
        let damaged = PageCheck::Damaged { detail: "error: checksum verification failed in file x".into() };
        for (pages, tables) in [
            (Some(&damaged), None),
            (None, Some(tables(0, Checked::Damaged("invalid page in block 3".into())))),
            (Some(&sound), Some(tables(1, Checked::CountersOnly))),
        ] {
            let (ok, says) = verdict(pages, tables.as_ref()).unwrap();
            assert!(!ok && says.contains("mcp-server restore"), "{says}");
        }
        let off = Integrity { has_checksums: false, ..tables(0, Checked::CountersOnly) };
        assert_eq!(verdict(None, None), None);
        assert!(verdict(None, Some(&off)).unwrap().1.contains("no checksums"));
    }
}
