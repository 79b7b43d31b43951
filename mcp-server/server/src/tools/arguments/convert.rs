//! Converts an argument to the type that its schema declares, if it can mean only one thing.
//!
//! Hosts send lists, objects, numbers and booleans as texts of JSON, a text where a list of texts is
//! declared, and the names of an enum in capitals. A declared string is never converted: a memory
//! may be about JSON. A value with two readings stays as it is, and the check refuses it.

use pgrecall_record::{lenient, time};
use serde_json::Value;

use super::quoted;

/// The arguments that are times, and the fields of `filter` that are.
const TIMES: [&str; 4] = ["valid_from", "valid_to", "as_of", "changed_since"];
const FILTER_TIMES: [&str; 3] = ["$created_from", "$created_until", "$changed_since"];

/// Converts `value` in place, and returns a note about a repair of its JSON.
///
/// The error is the problem of a number that JSON cannot hold. Any other value that does not have
/// the declared type afterwards is left to the check.
pub(super) fn to_declared(name: &str, property: &Value, value: &mut Value) -> Result<Option<String>, String> {
    let declared = property["type"].as_str().unwrap_or_default();
    let mut note = None;
    if let Value::String(text) = &*value
        && let Some((parsed, repaired)) = of_text(name, declared, text)?
    {
        (*value, note) = (parsed, repaired);
    }
    if declared == "integer"
        && let Some(whole) = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15)
    {
        // JSON Schema counts 5.0 as an integer.
        *value = (whole as i64).into();
    }
    if declared == "object" && value.as_array().is_some_and(Vec::is_empty) {
        // PHP has one empty array for both.
        *value = Value::Object(Default::default());
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| to_listed(&property["items"], item)),
        single => to_listed(property, single),
    }
    Ok(note)
}

/// The value of a text, and a note about its repair; `None` if the text stays as it is.
fn of_text(name: &str, declared: &str, text: &str) -> Result<Option<(Value, Option<String>)>, String> {
    let text = text.trim();
    let is_declared: fn(&Value) -> bool = match declared {
        "array" if !text.is_empty() && !text.starts_with(['[', '{', '"']) => {
            return Ok(Some((Value::Array(vec![text.into()]), None)));
        }
        "array" => Value::is_array,
        "object" => |value| value.is_object() || value.as_array().is_some_and(Vec::is_empty),
        "integer" | "number" => Value::is_number,
        // Python writes them with a capital.
        "boolean" if text.eq_ignore_ascii_case("true") => return Ok(Some((true.into(), None))),
        "boolean" if text.eq_ignore_ascii_case("false") => return Ok(Some((false.into(), None))),
        _ => return Ok(None),
    };
    let Ok((parsed, repairs)) = lenient::read::<Value>(text.as_bytes()) else { return Ok(None) };
    if let Some(number) = repairs.numbers.first() {
        let path = match number.path.as_str() {
            "" => name.to_owned(),
            path if path.starts_with('[') => format!("{name}{path}"),
            path => format!("{name}.{path}"),
        };
        return Err(format!("`{path}` is {}, which JSON cannot hold as a number", number.text));
    }
    Ok(is_declared(&parsed).then(|| (parsed, repairs.surrogates_note())))
}

/// Whether a value is the text of a null where no text is declared: `null`, or Python's `None`.
///
/// A text of a free form may be one of these words itself.
pub(super) fn is_null_text(property: &Value, value: &Value) -> bool {
    let is_free_text = property["type"] == "string" && property.get("enum").is_none();
    let is_null = |text: &str| ["null", "None"].contains(&text.trim());
    !is_free_text && value.as_str().is_some_and(is_null)
}

/// Replaces a name by the one of the enum that differs only in its case or in the blanks around it.
fn to_listed(property: &Value, value: &mut Value) {
    let (Some(allowed), Some(given)) = (property["enum"].as_array(), value.as_str()) else { return };
    let is_meant = |name: &&Value| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(given.trim()));
    if let Some(name) = allowed.iter().find(is_meant) {
        *value = name.clone();
    }
}

/// Says how the times of an argument were read whose zone or day was assumed.
pub(super) fn time_notes(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if TIMES.contains(&name) => time::note(name, quoted(text)).into_iter().collect(),
        Value::Object(fields) if name == "filter" => {
            FILTER_TIMES.iter().filter_map(|field| time::note(field, quoted(fields.get(*field)?.as_str()?))).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use pgrecall_generators::mutate::{cases, mutated_text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn schema() -> Value {
        json!({"properties": {
            "query": {"type": "string"}, "strategy": {"type": "string", "enum": ["auto", "lexical"]},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100}, "confidence": {"type": "number"},
            "explain": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}},
            "shapes": {"type": "array", "items": {"type": "string", "enum": ["round", "flat"]}},
            "filter": {"type": "object"}, "as_of": {"type": "string"},
        }})
    }

    fn read(name: &str, value: Value) -> Result<(Value, Vec<String>), String> {
        let mut arguments = rmcp::model::object(json!({ name: value }));
        let notes = check(&rmcp::model::object(schema()), &mut arguments)?;
        Ok((arguments.remove(name).unwrap_or_default(), notes))
    }

    #[test]
    fn a_text_of_the_declared_type_is_a_value_of_it() {
        for (name, given, expected) in [
            ("tags", json!(r#"["oil", "bay"]"#), json!(["oil", "bay"])),
            ("tags", json!(" [] "), json!([])),
            ("tags", json!("oil"), json!(["oil"])),
            ("tags", json!(" oil, bay "), json!(["oil, bay"])),
            ("tags", json!("5"), json!(["5"])),
            ("tags", json!(["[\"a\"]"]), json!(["[\"a\"]"])),
            ("shapes", json!("ROUND"), json!(["round"])),
            ("shapes", json!("[\"Flat\"]"), json!(["flat"])),
            ("filter", json!(r#"{"session": "s1", "$owner": "ana"}"#), json!({"session": "s1", "$owner": "ana"})),
            ("filter", json!([]), json!({})),
            ("filter", json!("[]"), json!({})),
            ("limit", json!("5"), json!(5)),
            ("limit", json!(" 5.0 "), json!(5)),
            ("limit", json!("1e1"), json!(10)),
            ("limit", json!(7.0), json!(7)),
            ("confidence", json!("0.8"), json!(0.8)),
            ("confidence", json!("1"), json!(1)),
            ("explain", json!("false"), json!(false)),
            ("explain", json!("True"), json!(true)),
            ("strategy", json!("Lexical"), json!("lexical")),
            ("strategy", json!(" AUTO "), json!("auto")),
        ] {
            assert_eq!(read(name, given.clone()), Ok((expected, vec![])), "{name}: {given}");
        }
    }

    #[test]
    fn the_text_of_a_null_means_not_given_where_no_text_is_declared() {
        for name in ["strategy", "limit", "confidence", "explain", "tags", "shapes", "filter"] {
            for text in ["null", " null ", "None"] {
                assert_eq!(read(name, json!(text)), Ok((json!(null), vec![])), "{name}: {text}");
            }
        }
        for (name, given) in [("query", json!("null")), ("query", json!("None")), ("tags", json!(["null"]))] {
            assert_eq!(read(name, given.clone()), Ok((given, vec![])));
        }
        assert_eq!(read("tags", json!("nullable")), Ok((json!(["nullable"]), vec![])));
    }

    #[test]
    fn a_string_stays_a_string_whatever_it_looks_like() {
        for text in ["[\"a\"]", "{\"a\":1}", "5", "true", "null", "\"a\"", " spaced ", "1e400", "[\"\\ud83d\"]"] {
            assert_eq!(read("query", json!(text)), Ok((json!(text), vec![])), "{text}");
        }
    }

    #[test]
    fn what_can_mean_two_things_or_none_keeps_its_sentence() {
        for (name, given, said) in [
            ("tags", json!("['oil']"), "`tags` must be an array, and a string was given"),
            ("tags", json!("[oil, bay]"), "`tags` must be an array, and a string was given"),
            ("tags", json!("{\"a\": 1}"), "`tags` must be an array, and a string was given"),
            ("tags", json!("\"oil\""), "`tags` must be an array, and a string was given"),
            ("tags", json!("[1]"), "`tags[]` must be a string, and an integer was given"),
            ("tags", json!(5), "`tags` must be an array, and an integer was given"),
            ("filter", json!("session: s1"), "`filter` must be an object, and a string was given"),
            ("filter", json!("[1]"), "`filter` must be an object, and a string was given"),
            ("filter", json!(["a"]), "`filter` must be an object, and an array was given"),
            ("limit", json!("five"), "`limit` must be an integer, and a string was given"),
            ("limit", json!("1.5"), "`limit` must be an integer, and a fraction was given"),
            ("limit", json!("500"), "`limit` is 500: it must lie between 1 and 100"),
            ("limit", json!(true), "`limit` must be an integer, and a boolean was given"),
            ("confidence", json!("80 %"), "`confidence` must be a number, and a string was given"),
            ("confidence", json!("05"), "`confidence` must be a number, and a string was given"),
            ("explain", json!("yes"), "`explain` must be a boolean, and a string was given"),
            ("explain", json!(1), "`explain` must be a boolean, and an integer was given"),
            ("query", json!(5), "`query` must be a string, and an integer was given"),
            ("strategy", json!("psychic"), "`strategy` is \"psychic\": use one of auto, lexical"),
        ] {
            assert_eq!(read(name, given.clone()), Err(said.to_owned()), "{given}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read("tags", json!(deep)).unwrap_err().contains("must be an array"));
    }

    #[test]
    fn a_repair_and_an_assumed_time_are_said() {
        let (value, notes) = read("filter", json!(r#"{"a": "\ud83d", "$created_from": "2026-03"}"#)).unwrap();
        assert_eq!(value["a"], "\u{fffd}");
        assert!(notes[0].contains("U+FFFD"), "{notes:?}");
        assert_eq!(notes[1], "`$created_from` was read as 2026-03-01T00:00:00Z");
        assert_eq!(read("as_of", json!("2026-03-04 09:30")).unwrap().1, ["`as_of` was read as 2026-03-04T09:30:00Z"]);
        assert_eq!(read("as_of", json!("2026-03-04")).unwrap().1, [""; 0]);
        for (name, given, said) in [
            ("confidence", "1e400", "`confidence` is 1e400, which JSON cannot hold as a number"),
            ("filter", r#"{"a": [NaN]}"#, "`filter.a[0]` is NaN, which JSON cannot hold as a number"),
            ("tags", "[-1e400]", "`tags[0]` is -1e400, which JSON cannot hold as a number"),
        ] {
            assert_eq!(read(name, json!(given)), Err(said.to_owned()));
        }
    }

    const TEXTS: [&str; 6] = [r#"["a", "b"]"#, r#"{"a": [1, {"b": null}]}"#, "0.8", "true", "auto", "2026-03-04T09:30"];

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_text_is_a_value_of_the_declared_type_or_a_problem(text in mutated_text(&TEXTS)) {
            for (name, property) in schema()["properties"].as_object().unwrap() {
                let Ok((value, _)) = read(name, json!(text)) else { continue };
                match property["type"].as_str().unwrap() {
                    _ if value.is_null() => prop_assert!(["", "null", "None"].contains(&text.trim())),
                    "string" if property.get("enum").is_none() => prop_assert_eq!(value, json!(text)),
                    "string" => prop_assert!(property["enum"].as_array().unwrap().contains(&value)),
                    "integer" => prop_assert!(value.is_i64() || value.is_u64()),
                    "number" => prop_assert!(value.is_number()),
                    "boolean" => prop_assert!(value.is_boolean()),
                    "object" => prop_assert!(value.is_object()),
                    _ => prop_assert!(value.as_array().unwrap().iter().all(Value::is_string)),
                }
            }
        }
    }
}
