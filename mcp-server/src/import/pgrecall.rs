//! What `export` wrote: each record as it was, with its id, its status, its times and what replaced it. It is the importer's own from then on.

use shared::{db::Scope, exported, source::Record};

use super::jsonl;

/// The record of a line.
pub(super) fn record(line: &str, importer: &Scope) -> Result<Record, String> {
    exported::imported(line, importer).map_err(|error| jsonl::wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_record_with_its_past_or_says_what_is_wrong() {
        let importer = Scope { tenant: "t".into(), owner: "ana".into(), persona: None };
        let line = r#"{"id":"0190a1b2-0000-7000-8000-000000000001","key":"k","kind":"memory","text":"t","visibility":"persona",
            "persona":"analyst","status":"stale","created_at":"2024-05-01T10:00:00+00:00","details":{"a":1}}"#;
        let made = record(line, &importer).unwrap();
        let past = made.past.as_ref().unwrap();
        assert_eq!((made.key.as_deref(), past.status.as_str()), (Some("k"), "stale"));
        assert_eq!(past.owner, Some(("ana".to_owned(), Some("analyst".to_owned()))));
        assert!(record(&line[..90], &importer).unwrap_err().contains("cut off"));
        assert!(record(r#"{"text": "x"}"#, &importer).unwrap_err().contains("missing field `id`"));
        assert!(record("[1]", &importer).unwrap_err().starts_with("the line does not say what it should"));
        let nobody = record(&line.replace("analyst", "").replace(r#""persona":"","#, ""), &importer).unwrap();
        assert!(nobody.check().unwrap_err().to_string().contains("persona"));
    }
}
