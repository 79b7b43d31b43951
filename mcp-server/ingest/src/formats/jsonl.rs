//! JSONL: one record on each line.
//!
//! A line is `{"_id", "title", "text", "metadata"}` and, optionally, the other fields of a record;
//! the output of `export` can be read back. `_id` is the record's key. A broken line is reported,
//! and reading continues with the next line.

use std::{collections::BTreeSet, io::Read};

use pgrecall_record::{
    source::{Record, SourceKind, TextFormat, Visibility},
    time,
};
use serde_json::{Map, Value};

use crate::{
    Options, Part, Problem,
    batch::{Batcher, Stop},
    formats::json,
    lines,
    origin::Origin,
};

/// Fields of `export` that are ignored, because a new record gets its own values.
const NOT_TAKEN: [&str; 7] = ["id", "status", "persona", "superseded_by", "last_verified", "created_at", "updated_at"];
/// Number of unknown field names that the report lists.
const MAX_NAMED: usize = 8;

/// Reads one file of lines.
pub(super) fn read(origin: &Origin, opened: impl Read, options: &Options, out: &mut Batcher) -> Result<(), Stop> {
    let (mut unknown, mut assumed) = (BTreeSet::new(), Assumed::default());
    let is_whole = lines::each(origin, opened, out, |number, line, emit| {
        emit(parse(line, options, || fallback(origin, line, number), &mut unknown).map(|(record, times)| {
            assumed.add(number, times);
            record
        }))
    })?;
    if let Some(note) = assumed.note() {
        out.problem(origin.place(Part::Whole), Problem::Noted(note))?;
    }
    if !is_whole || unknown.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = unknown.iter().take(MAX_NAMED).map(|name| format!("`{name}`")).collect();
    let more = if unknown.len() > MAX_NAMED { " and more" } else { "" };
    let note = format!("{}{more} are not known and were left out: free data goes under `metadata`", named.join(", "));
    out.problem(origin.place(Part::Whole), Problem::Noted(note))
}

/// The times whose zone or day was assumed. One note tells the first of them.
#[derive(Default)]
struct Assumed {
    first: Option<String>,
    more: usize,
}

impl Assumed {
    fn add(&mut self, line: u64, times: Vec<String>) {
        for time in times {
            match self.first {
                None => self.first = Some(format!("{time} on line {line}")),
                Some(_) => self.more += 1,
            }
        }
    }

    fn note(&self) -> Option<String> {
        let more = if self.more > 0 { format!(", and {} more likewise", self.more) } else { String::new() };
        Some(format!("{}{more}: write times with a zone and a day", self.first.as_ref()?))
    }
}

/// Returns the key of a line that has none: the file's path and the line number.
///
/// Stdin has no path, so its lines get a hash as the key.
fn fallback(origin: &Origin, line: &str, number: u64) -> String {
    let key = origin.key(line.as_bytes());
    if origin.url().is_some() { format!("{key}:{number}") } else { key }
}

/// Parses one line into a record, and says how its times were read if their zone or day was assumed.
/// `fallback` makes the key if the line has none.
fn parse(
    line: &str,
    options: &Options,
    fallback: impl Fn() -> String,
    unknown: &mut BTreeSet<String>,
) -> Result<(Record, Vec<String>), String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("the line is not valid JSON ({error})"))?;
    let Value::Object(object) = value else { return Err("the line is not a JSON object".to_owned()) };
    let mut fields = Fields(object, Vec::new());
    let exported = fields.text("id")?;
    let key = fields.key("_id")?.or(fields.key("key")?).or(exported).unwrap_or_else(fallback);
    let kind = match (options.kind, fields.text("kind")?) {
        (Some(kind), _) => kind,
        (None, Some(name)) => {
            SourceKind::parse(&name.trim().to_ascii_lowercase()).ok_or_else(|| format!("`{name}` is not a kind"))?
        }
        (None, None) => SourceKind::Document,
    };
    let text = fields.text("text")?.or(fields.text("content")?).unwrap_or_default();
    let mut record = Record::new(kind, text);
    record.fields.key = Some(key);
    record.fields.title = fields.label("title")?.unwrap_or_default();
    record.fields.collection = fields.label("collection")?.unwrap_or_default();
    record.fields.uri = fields.text("uri")?;
    record.fields.metadata = fields.object("metadata")?;
    record.fields.tags = fields.texts("tags")?;
    record.fields.entity_urns = fields.texts("entity_urns")?;
    record.fields.dimension = fields.label("dimension")?;
    record.fields.category = fields.label("category")?;
    record.fields.confidence = fields.number("confidence")?.map(|confidence| confidence as f32);
    record.fields.origin = fields.label("source")?;
    if let Some(format) = fields.name::<TextFormat>("format", "plain or markdown")? {
        record.format = format;
    }
    if let Some(visibility) = fields.name::<Visibility>("visibility", "private, persona or tenant")? {
        record.visibility = visibility;
    }
    record.fields.valid_from = fields.moment("valid_from")?;
    record.fields.valid_to = fields.moment("valid_to")?;
    record.details = Some(fields.object("details")?).filter(|details| !details.is_empty());
    unknown.extend(fields.0.into_iter().map(|(name, _)| name).filter(|name| !NOT_TAKEN.contains(&name.as_str())));
    Ok((record, fields.1))
}

/// The fields of a line that were not taken yet, and how times were read. A null counts as absent.
struct Fields(Map<String, Value>, Vec<String>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        self.typed(name, "a string")
    }

    /// Takes a key, which is a string, or an integer that is converted to one.
    fn key(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(key)) if key.is_empty() => Err(format!("`{name}` is empty")),
            Some(Value::String(key)) => Ok(Some(key)),
            Some(Value::Number(key)) if !key.is_f64() => Ok(Some(key.to_string())),
            Some(_) => Err(format!("`{name}` must be a string")),
        }
    }

    /// Takes a title or a label, which programs also write as a number or a truth value.
    fn label(&mut self, name: &str) -> Result<Option<String>, String> {
        self.take(name).map(|value| label(&value).ok_or_else(|| format!("`{name}` must be a string"))).transpose()
    }

    /// Takes a list of texts. One text is a list of its parts between commas, or a list in JSON.
    fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        let items = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(Value::String(text)) => match serde_json::from_str(&text) {
                Ok(Value::Array(items)) => items,
                Ok(Value::Null) => return Ok(Vec::new()),
                _ => text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect(),
            },
            Some(other) => vec![other],
        };
        let texts: Option<_> = items.iter().map(label).collect();
        texts.ok_or_else(|| format!("`{name}` must be a list of strings"))
    }

    /// Takes a number, which may be written as a text.
    fn number(&mut self, name: &str) -> Result<Option<f64>, String> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_f64(),
        };
        number.filter(|number| number.is_finite()).map(Some).ok_or_else(|| format!("`{name}` must be a number"))
    }

    /// Takes a field that has one of a few names, in any case.
    fn name<T: serde::de::DeserializeOwned>(&mut self, name: &str, what: &str) -> Result<Option<T>, String> {
        if let Some(Value::String(text)) = self.0.get_mut(name) {
            *text = text.trim().to_ascii_lowercase();
        }
        self.typed(name, what)
    }

    fn object(&mut self, name: &str) -> Result<Map<String, Value>, String> {
        Ok(self.typed(name, "an object")?.unwrap_or_default())
    }

    /// Takes a field of this type. An error message calls the type `what`.
    fn typed<T: serde::de::DeserializeOwned>(&mut self, name: &str, what: &str) -> Result<Option<T>, String> {
        let parse = |value| serde_json::from_value(value).map_err(|_| format!("`{name}` must be {what}"));
        self.take(name).map(parse).transpose()
    }

    fn moment(&mut self, name: &str) -> Result<Option<jiff::Timestamp>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let at = time::parse_field(name, &text)?;
        self.1.extend(time::note(name, &text));
        Ok(Some(at))
    }
}

fn label(value: &Value) -> Option<String> {
    match value {
        // As it is written: what `export` wrote comes back.
        Value::String(text) => Some(text.clone()),
        value => json::scalar(Some(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{
        batch::{Batch, gather},
        origin::from_bytes,
    };

    fn ingest(name: &str, bytes: &[u8], options: &Options) -> Batch {
        let mut batch = Batch::default();
        from_bytes(&format!("jsonl-{name}"), bytes, true, |origin| {
            batch = gather(|out| {
                out.collection.clone_from(&options.collection);
                read(origin, origin.open().unwrap(), options, out)
            });
        });
        batch
    }

    #[test]
    fn a_line_is_a_record_and_its_id_the_key() {
        let line = br#"{"_id": 7, "title": "T", "text": "body", "metadata": {"a": 1}, "tags": ["x"]}"#;
        let (_, record) = ingest("a", line, &Options::default()).records.remove(0);
        assert_eq!(record.fields.key.as_deref(), Some("7"));
        assert_eq!(
            (record.fields.title.as_str(), record.body.as_str(), record.kind),
            ("T", "body", SourceKind::Document)
        );
        assert_eq!(record.fields.metadata["a"], 1);
        assert_eq!(record.fields.tags, ["x"]);
    }

    #[test]
    fn titles_and_labels_are_texts_however_they_are_written() {
        let read = |fields: &str| {
            let line = format!(r#"{{"_id": 1, "text": "t", {fields}}}"#);
            let mut batch = ingest("t", line.as_bytes(), &Options::default());
            batch.records.pop().map(|(_, record)| record.fields)
        };
        for (title, read_title) in [
            ("2026", "2026"),
            ("1.5", "1.5"),
            ("true", "true"),
            ("null", ""),
            ("\"007\"", "007"),
            ("\"\"", ""),
            ("-3", "-3"),
        ] {
            assert_eq!(read(&format!(r#""title": {title}"#)).unwrap().title, read_title, "{title}");
        }
        let fields = read(r#""kind": "memory", "collection": 7, "category": 2, "source": 3"#).unwrap();
        assert_eq!(
            (fields.collection.as_str(), fields.category.as_deref(), fields.origin.as_deref()),
            ("7", Some("2"), Some("3"))
        );
        for refused in [r#""title": [1]"#, r#""title": {"a": 1}"#, r#""tags": [null]"#, r#""uri": 7"#] {
            assert!(read(refused).is_none(), "{refused}");
        }
    }

    #[test]
    fn fields_are_read_however_programs_write_them() {
        let read = |fields: &str| {
            let line = format!("{{\"_id\":\"1\",\"text\":\"t\",{fields}}}");
            let mut batch = ingest("g", line.as_bytes(), &Options::default());
            batch.records.pop().map(|(_, record)| record).ok_or(batch.problems)
        };
        for (tags, expected) in [
            (r#""a, b""#, &["a", "b"][..]),
            (r#""a""#, &["a"]),
            (r#""[\"a, b\", 7]""#, &["a, b", "7"]),
            (r#"["a", 2026, 1.5, false]"#, &["a", "2026", "1.5", "false"]),
            ("7", &["7"]),
            ("[]", &[]),
            ("null", &[]),
            (r#""null""#, &[]),
            (r#""""#, &[]),
        ] {
            assert_eq!(read(&format!("\"tags\":{tags}")).unwrap().fields.tags, expected, "{tags}");
        }
        let record =
            read(r#""kind":" Memory","confidence":"0.8","title":2026,"visibility":"Tenant","format":"Markdown""#);
        let record = record.unwrap();
        assert_eq!((record.kind, record.fields.confidence), (SourceKind::Memory, Some(0.8)));
        assert_eq!(record.fields.title, "2026");
        assert_eq!((record.visibility, record.format), (Visibility::Tenant, TextFormat::Markdown));
        for broken in [
            r#""tags":[["a"]]"#,
            r#""tags":{"a":1}"#,
            r#""kind":"cat""#,
            r#""confidence":"high""#,
            r#""confidence":"NaN""#,
            r#""title":["a"]"#,
            r#""visibility":"all""#,
        ] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn broken_lines_are_named_by_their_number_and_the_others_go_in() {
        let text = b"{\"_id\":\"1\",\"text\":\"a\"}\nnot json\n\n[1]\n{\"_id\":\"2\",\"text\":5}\n\xff\n{\"_id\":\"3\",\"text\":\"b\"}";
        let batch = ingest("b", text, &Options::default());
        assert_eq!(batch.records.len(), 2);
        let named: Vec<_> = batch.problems.iter().map(|(place, _)| place.part.clone()).collect();
        assert_eq!(named, [2, 4, 5, 6].map(Part::Line));
        let Problem::Broken(said) = &batch.problems[2].1 else { panic!("taken") };
        assert_eq!(said, "`text` must be a string");
    }

    #[test]
    fn lines_are_read_in_every_encoding_with_a_mark_and_with_every_line_end() {
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("{{\"_id\":\"u1\",\"text\":\"a\"}}{end}{{\"_id\":\"u2\",\"text\":\"b\"}}{end}");
            for bytes in crate::encoding::encodings(&text) {
                let mut batch = Batch::default();
                from_bytes("jsonl-f.jsonl", &bytes, false, |origin| {
                    batch = gather(|out| crate::ingest::read_origin(origin, &Options::default(), out));
                });
                let keys = batch.records.iter().map(|(_, record)| record.fields.key.as_deref().unwrap());
                assert!(keys.eq(["u1", "u2"]) && batch.problems.is_empty(), "{end:?} {:?}", batch.problems);
            }
        }
    }

    #[test]
    fn what_javascript_and_python_write_goes_in_and_the_report_says_what_was_read() {
        let text = br#"{"_id":"s1","text":"cut emoji \ud83d"}
{"_id":"s2","text":"low \ude00 only","valid_from":"2026-03"}
nonsense NaN
{"_id":"s3","text":"fine","metadata":{"score":1e400,"loss":NaN},"valid_to":"2027-01-01T08:00"}"#;
        let batch = ingest("f", text, &Options::default());
        let bodies: Vec<_> = batch.records.iter().map(|(_, record)| record.body.as_str()).collect();
        assert_eq!(bodies, ["cut emoji \u{fffd}", "low \u{fffd} only", "fine"]);
        assert_eq!(
            batch.records[2].1.fields.metadata,
            serde_json::json!({"score": null, "loss": null}).as_object().unwrap().clone()
        );
        let noted = |note: &str| Problem::Noted(note.to_owned());
        let problems: Vec<_> =
            batch.problems.iter().map(|(place, problem)| (place.part.clone(), problem.clone())).collect();
        assert!(matches!(&problems[0], (Part::Line(3), Problem::Broken(_))), "{problems:?}");
        assert_eq!(
            problems[1..],
            [
                (
                    Part::Line(4),
                    noted(
                        "`metadata.score` is 1e400, `metadata.loss` is NaN, which JSON cannot hold as a number: read as null"
                    )
                ),
                (
                    Part::Whole,
                    noted("halves of cut characters (lone surrogates) were replaced by U+FFFD on lines 1, 2")
                ),
                (
                    Part::Whole,
                    noted(
                        "`valid_from` was read as 2026-03-01T00:00:00Z on line 2, and 1 more likewise: write times with a zone and a day"
                    )
                ),
            ]
        );
    }

    #[test]
    fn a_line_without_a_key_is_named_by_where_it_stands() {
        let batch = ingest("c", b"{\"text\":\"a\"}\n{\"text\":\"b\",\"id\":\"0190\"}\n", &Options::default());
        assert!(batch.records[0].1.fields.key.as_deref().unwrap().ends_with("-c:1"));
        assert_eq!(batch.records[1].1.fields.key.as_deref(), Some("0190"));
    }

    #[test]
    fn what_export_writes_comes_back_and_options_stand_above_it() {
        let line = br#"{"_id":"k","key":"k","kind":"memory","collection":"c","text":"t","status":"active","visibility":"tenant",
            "valid_from":"2026-01-01T00:00:00+00:00","format":"markdown","created_at":"2026-01-01T00:00:00Z"}"#;
        let line: Vec<u8> = line.iter().copied().filter(|byte| *byte != b'\n').collect();
        let (_, record) = ingest("d", &line, &Options::default()).records.remove(0);
        assert_eq!((record.kind, record.fields.collection.as_str()), (SourceKind::Memory, "c"));
        assert_eq!((record.visibility, record.format), (Visibility::Tenant, TextFormat::Markdown));
        assert!(record.fields.valid_from.is_some());
        let options =
            Options { kind: Some(SourceKind::Document), collection: Some("mine".into()), ..Options::default() };
        let (_, record) = ingest("e", &line, &options).records.remove(0);
        assert_eq!((record.kind, record.fields.collection.as_str()), (SourceKind::Document, "mine"));
    }
}
