//! Reads what `export` wrote: records with their ids, statuses, times and replacements.
//!
//! The records belong to the importer from then on, unless an operator returns each record to its
//! owner.

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::Record;
use pgrecall_store::exported;

use super::line_error;

/// Parses a line into a record. With `for_owners`, it belongs to the owner that the line names.
pub(super) fn record(line: &str, importer: &Scope, for_owners: bool) -> Result<Record, String> {
    let record = if for_owners { exported::imported_for_its_owner } else { exported::imported };
    record(line, importer).map_err(|error| line_error(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_record_with_its_past_or_says_what_is_wrong() {
        let importer = Scope { tenant: "t".into(), owner: "ana".into(), persona: None };
        let line = r#"{"id":"0190a1b2-0000-7000-8000-000000000001","key":"k","kind":"memory","text":"t","visibility":"persona",
            "persona":"analyst","status":"stale","created_at":"2024-05-01T10:00:00+00:00","details":{"a":1}}"#;
        let made = record(line, &importer, false).unwrap();
        let past = made.past.as_ref().unwrap();
        assert_eq!((made.fields.key.as_deref(), past.status.as_str()), (Some("k"), "stale"));
        assert_eq!(past.owner, Some(("ana".to_owned(), Some("analyst".to_owned()))));
        assert!(record(&line[..90], &importer, false).unwrap_err().contains("cut off"));
        assert!(record(r#"{"text": "x"}"#, &importer, false).unwrap_err().contains("missing field `id`"));
        assert!(record("[1]", &importer, false).unwrap_err().starts_with("the line does not say what it should"));
        let nobody = record(&line.replace("analyst", "").replace(r#""persona":"","#, ""), &importer, false).unwrap();
        assert!(nobody.check().unwrap_err().to_string().contains("persona"));
    }

    #[test]
    fn a_line_is_its_owners_when_an_operator_brings_it_back() {
        let importer = Scope { tenant: "t".into(), owner: "ana".into(), persona: Some("analyst".into()) };
        let line = r#"{"id":"0190a1b2-0000-7000-8000-000000000001","kind":"memory","text":"t","visibility":"private","owner":"bo"}"#;
        let owner = |line: &str, for_owners| record(line, &importer, for_owners).unwrap().past.unwrap().owner.unwrap();
        assert_eq!(owner(line, true), ("bo".to_owned(), None));
        let own = ("ana".to_owned(), Some("analyst".to_owned()));
        assert_eq!(owner(line, false), own);
        assert_eq!(owner(&line.replace(r#","owner":"bo""#, ""), true), own, "what a plain export wrote");
    }
}
