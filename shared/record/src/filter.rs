//! Filters of a query: labels, times, and the record's own fields, whose names begin with `$`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::labels;
use crate::source::{SourceKind, Status, Visibility};
use crate::time;

/// Maximum number of labels in a filter. Each is a separate condition in the statements.
const MAX_LABELS: usize = 100;
/// Maximum number of URNs in a filter. Together they are one condition.
const MAX_URNS: usize = 1_000;

/// A conjunction of conditions that the records of an answer must meet.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The kinds of record to search.
    pub kinds: Vec<SourceKind>,
    /// The only collection to search.
    pub collection: Option<String>,
    /// Tags that a record must all have.
    pub tags: Vec<String>,
    /// URNs of which a record must have at least one.
    pub entity_urns: Vec<String>,
    /// The dimension that a memory must have.
    pub dimension: Option<String>,
    /// The category that a memory must have.
    pub category: Option<String>,
    /// Metadata that a record must contain, with the meaning of jsonb's `@>`.
    pub metadata: Map<String, Value>,
    /// Includes records that are stale, superseded, archived or outside their validity.
    pub include_stale: bool,
    /// The time at which a record must be valid; the current time if `None`.
    pub as_of: Option<Timestamp>,
    /// Conditions on the record's own fields.
    pub fields: Fields,
}

/// The reason why a filter is refused. Its text says what to write instead.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0}")]
pub struct FilterError(pub String);

/// Conditions on a record's own fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    /// The owner of the record.
    pub owner: Option<String>,
    /// The persona with which its owner wrote it.
    pub persona: Option<String>,
    /// The visibility of the record.
    pub visibility: Option<Visibility>,
    /// The status of the record. A filter by status also finds records that are outside their
    /// validity.
    pub status: Option<Status>,
    /// The earliest creation time, inclusive.
    pub created_from: Option<Timestamp>,
    /// The latest creation time, exclusive.
    pub created_until: Option<Timestamp>,
    /// The earliest time of the last change, inclusive.
    pub changed_since: Option<Timestamp>,
}

/// The field names that a filter accepts, for error messages.
const NAMES: &str = "$owner, $persona, $visibility, $category, $status, $created_from, $created_until, $changed_since";

impl Filter {
    /// Creates a filter for all records of a kind.
    pub fn of(kind: SourceKind) -> Self {
        Self { kinds: vec![kind], ..Self::default() }
    }

    /// Returns whether the filter has a condition other than kinds and validity.
    pub fn has_conditions(&self) -> bool {
        let Self {
            kinds: _,
            include_stale: _,
            as_of: _,
            collection,
            tags,
            entity_urns,
            dimension,
            category,
            metadata,
            fields,
        } = self;
        !(tags.is_empty() && entity_urns.is_empty() && metadata.is_empty() && *fields == Fields::default())
            || collection.is_some()
            || dimension.is_some()
            || category.is_some()
    }

    /// Returns the labels that a record must all have.
    pub fn labels(&self) -> Vec<String> {
        let mut all = labels::metadata(&self.metadata);
        all.extend(self.tags.iter().map(|tag| labels::tag(tag)));
        all.extend(self.collection.iter().map(|name| labels::collection(name)));
        all.extend(self.dimension.iter().map(|name| labels::dimension(name)));
        all.extend(self.category.iter().map(|name| labels::category(name)));
        all
    }

    /// Returns the labels of the URNs, of which a record must have at least one.
    pub fn urns(&self) -> Vec<String> {
        self.entity_urns.iter().map(|urn| labels::urn(urn)).collect()
    }

    /// Refuses a filter that the statements cannot take: too many conditions, a NUL character, or a
    /// time outside the years 1 to 9999.
    pub fn check(&self) -> Result<(), FilterError> {
        let refused = |sentence: String| Err(FilterError(sentence));
        let (all, urns) = (self.labels(), self.urns());
        if all.len() > MAX_LABELS {
            return refused(format!(
                "the filter has {} conditions; the limit is {MAX_LABELS}: ask for fewer",
                all.len()
            ));
        }
        if urns.len() > MAX_URNS {
            return refused(format!(
                "the filter names {} entity_urns; the limit is {MAX_URNS}: name fewer",
                urns.len()
            ));
        }
        if all.iter().chain(&urns).chain(&self.fields.owner).chain(&self.fields.persona).any(|text| text.contains('\0'))
        {
            return refused("the filter holds a NUL character (U+0000): remove it".to_owned());
        }
        let Fields { created_from, created_until, changed_since, .. } = &self.fields;
        let is_dated = |moment: &Timestamp| (1..=9999).contains(&moment.to_zoned(TimeZone::UTC).year());
        match [&self.as_of, created_from, created_until, changed_since]
            .into_iter()
            .flatten()
            .find(|moment| !is_dated(moment))
        {
            Some(moment) => {
                refused(format!("{moment} is out of range: ask for a time from the year 1 to the year 9999"))
            }
            None => Ok(()),
        }
    }

    /// Adds conditions in the form that callers write: metadata to contain, and fields whose names
    /// begin with `$`. A metadata key that itself begins with `$` is written with `$$`.
    pub fn narrow(&mut self, object: Map<String, Value>) -> Result<(), FilterError> {
        for (key, value) in object {
            match key.strip_prefix('$') {
                None => drop(self.metadata.insert(key, value)),
                Some(escaped) if escaped.starts_with('$') => drop(self.metadata.insert(escaped.to_owned(), value)),
                Some("category") => self.category = Some(text("category", &value)?),
                Some(field) => self.fields.set(field, &value)?,
            }
        }
        Ok(())
    }
}

impl Fields {
    fn set(&mut self, field: &str, value: &Value) -> Result<(), FilterError> {
        let wrong = |wanted: &str| wrong(field, value, wanted);
        let moment = || {
            let moment = value.as_str().and_then(time::parse);
            moment.ok_or_else(|| wrong("a date such as 2026-01-31 or a time such as 2026-01-31T09:00:00Z"))
        };
        match field {
            "owner" => self.owner = Some(text(field, value)?),
            "persona" => self.persona = Some(text(field, value)?),
            "visibility" => {
                let named = serde_json::from_value(lowercase(value));
                self.visibility = Some(named.map_err(|_| wrong("private, persona or tenant"))?);
            }
            "status" => {
                let named = lowercase(value).as_str().and_then(Status::parse);
                self.status = Some(named.ok_or_else(|| wrong("active, stale, superseded or archived"))?);
            }
            "created_from" => self.created_from = Some(moment()?),
            "created_until" => self.created_until = Some(moment()?),
            "changed_since" => self.changed_since = Some(moment()?),
            _ => {
                let sentence =
                    format!("`${field}` is no field: use {NAMES}; metadata that begins with `$` is written `$$`");
                return Err(FilterError(sentence));
            }
        }
        Ok(())
    }
}

/// Names of visibilities and statuses ignore case.
fn lowercase(value: &Value) -> Value {
    value.as_str().map_or(Value::Null, |name| name.trim().to_ascii_lowercase().into())
}

fn text(field: &str, value: &Value) -> Result<String, FilterError> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(field, value, "a text"))
}

fn wrong(field: &str, value: &Value, wanted: &str) -> FilterError {
    FilterError(format!("`${field}` is {value}: it must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn narrowed(filter: Value) -> Result<Filter, String> {
        let mut narrow = Filter::default();
        let object = filter.as_object().expect("an object").clone();
        narrow.narrow(object).map(|()| narrow).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_stand_beside_metadata() {
        let filter =
            narrowed(json!({"team": "data", "$owner": "ana", "$status": "stale", "$$odd": 1})).expect("a filter");
        assert_eq!(Value::Object(filter.metadata), json!({"team": "data", "$odd": 1}));
        assert_eq!((filter.fields.owner.as_deref(), filter.fields.status), (Some("ana"), Some(Status::Stale)));
        for text in ["2026-01-01", "2026-01", "2026", "2026-01-01T00:00"] {
            let dated = narrowed(json!({"$changed_since": text})).expect("a filter");
            assert_eq!(dated.fields.changed_since, time::parse("2026-01-01T00:00:00Z"), "{text}");
        }
        let shouted = narrowed(json!({"$status": "Stale", "$visibility": "PRIVATE"})).expect("a filter").fields;
        assert_eq!((shouted.status, shouted.visibility), (Some(Status::Stale), Some(Visibility::Private)));
    }

    #[test]
    fn what_no_statement_takes_is_refused() {
        let dated = |text: &str| Filter { as_of: Some(text.parse().expect("a time")), ..Filter::default() };
        let tagged = |tags: Vec<String>| Filter { tags, ..Filter::default() };
        for (filter, part) in [
            (tagged(vec!["a\0".into()]), "NUL"),
            (Filter { entity_urns: vec!["urn:\0".into()], ..Filter::default() }, "NUL"),
            (narrowed(json!({"$owner": "a\0"})).expect("a filter"), "NUL"),
            (narrowed(json!({"te\0am": 1})).expect("a filter"), "NUL"),
            (tagged((0..=MAX_LABELS).map(|n| n.to_string()).collect()), "the limit is 100"),
            (dated("0000-01-01T00:00:00Z"), "the year 1"),
            (dated("-002000-01-01T00:00:00Z"), "the year 1"),
        ] {
            let said = filter.check().expect_err(part).to_string();
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(dated("0001-01-01T00:00:00Z").check(), Ok(()));
    }

    #[test]
    fn what_is_no_field_or_no_value_of_it_is_told_with_what_would_do() {
        for (filter, part) in [
            (json!({"$team": "data"}), "`$team` is no field: use $owner"),
            (json!({"$owner": 1}), "`$owner` is 1: it must be a text"),
            (json!({"$status": "gone"}), "active, stale, superseded or archived"),
            (json!({"$visibility": "all"}), "private, persona or tenant"),
            (json!({"$created_from": "yesterday"}), "2026-01-31"),
        ] {
            let said = narrowed(filter).expect_err(part);
            assert!(said.contains(part), "{said}");
        }
    }
}
