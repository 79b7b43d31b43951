//! The filters that `recall`, `search` and `list` share.

use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use pgrecall_record::{
    source::{DIMENSIONS, SourceKind},
    time,
};
use pgrecall_store::recall::Filter;
use serde_json::{Map, Value};
use std::str::FromStr;

use super::{failure::Failure, help::EXPERT};

/// The filters that fit records of every kind.
#[derive(Debug, Args)]
pub(super) struct Narrow {
    /// A tag that results must have. Repeatable.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A URN, of which results must name at least one. Repeatable.
    #[arg(long = "urn", value_name = "URN")]
    pub(super) entity_urns: Vec<String>,
    /// Restricts results to one collection.
    #[arg(long)]
    collection: Option<String>,
    /// Restricts results by metadata: KEY=VALUE (numbers, true and false keep their type, anything
    /// else is text) or a JSON object that the metadata must contain. A key such as $owner or
    /// $status filters by a field of the record. Repeatable.
    #[arg(long, value_name = "KEY=VALUE|JSON", value_parser = filter)]
    filter: Vec<Map<String, Value>>,
    /// Restricts results to records that were written since then: a date or a time.
    #[arg(long, value_name = "TIME", value_parser = |text: &str| time::parse_field("--changed-since", text), help_heading = EXPERT)]
    changed_since: Option<jiff::Timestamp>,
}

/// The filters that fit memories.
#[derive(Debug, Args)]
pub(super) struct Memories {
    /// Restricts results to one memory dimension.
    #[arg(long, value_parser = DIMENSIONS)]
    dimension: Option<String>,
    /// Includes superseded, stale and archived memories.
    #[arg(long)]
    include_stale: bool,
    /// Finds memories that were valid then: a date or a time. A memory without --valid-from counts
    /// as always valid.
    #[arg(long, value_name = "TIME", value_parser = |text: &str| time::parse_field("--as-of", text))]
    as_of: Option<jiff::Timestamp>,
}

impl Narrow {
    /// Returns the filter for records of these kinds.
    pub(super) fn filter(&self, kinds: Vec<SourceKind>) -> Result<Filter, Failure> {
        let (collection, tags, entity_urns) = (self.collection.clone(), self.tags.clone(), self.entity_urns.clone());
        let mut filter = Filter { kinds, collection, tags, entity_urns, ..Filter::default() };
        for object in &self.filter {
            filter.narrow(object.clone()).map_err(|error| Failure::Misused(error.to_string()))?;
        }
        filter.fields.changed_since = self.changed_since.or(filter.fields.changed_since);
        Ok(filter)
    }
}

impl Memories {
    /// Adds these conditions to a filter.
    pub(super) fn narrow(self, filter: Filter) -> Filter {
        let Self { dimension, include_stale, as_of } = self;
        Filter { dimension, include_stale, as_of, ..filter }
    }
}

pub(super) fn kinds() -> impl TypedValueParser<Value = SourceKind> {
    one_of(SourceKind::ALL.iter().map(|kind| kind.as_str()))
}

/// Parses one of these names, each of which must be the name of a value.
pub(super) fn one_of<T: FromStr + Clone + Send + Sync + 'static>(
    names: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).map(|name| name.parse().ok().expect("only the names of values pass"))
}

/// Parses a filter, or metadata, as it is typed: an object, or one pair.
pub(super) fn filter(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim_start().starts_with('{') {
        return object(text);
    }
    let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        return Err("write KEY=VALUE, or a JSON object".to_owned());
    };
    // Numbers, true, false and quoted text have their JSON meaning; anything else is text.
    let value = match serde_json::from_str(value) {
        Ok(scalar @ (Value::Number(_) | Value::Bool(_) | Value::String(_))) => scalar,
        _ => Value::String(value.to_owned()),
    };
    Ok(Map::from_iter([(key.to_owned(), value)]))
}

/// Parses a JSON object.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not a JSON object ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_filter_is_a_pair_or_an_object() {
        let filtered = |text: &str| filter(text).map(Value::Object);
        assert_eq!(filtered("team=data"), Ok(json!({"team": "data"})));
        assert_eq!(filtered("year=2026"), Ok(json!({"year": 2026})));
        assert_eq!(filtered("year=\"2026\""), Ok(json!({"year": "2026"})));
        assert_eq!(filtered("url=a=b"), Ok(json!({"url": "a=b"})));
        assert_eq!(filtered("{\"a\": {\"b\": [1]}}"), Ok(json!({"a": {"b": [1]}})));
        assert!(filter("nonsense").is_err() && filter("=x").is_err() && filter("{1}").is_err());
    }
}
