//! Reads JSON as JavaScript and Python write it.
//!
//! Both write two things that serde_json refuses: half of a character that was cut in two
//! (`"\ud83d"`, a lone surrogate), and numbers that no `f64` holds (`1e400`, and Python's `NaN`).
//! Without a repair, one of them costs the whole message, line or conversation. Valid JSON is never
//! changed: serde_json reads a text first, and only a text that it refuses is repaired.

use std::{fmt, ops::Range};

use serde::de::{DeserializeOwned, IgnoredAny};

/// Depth of nesting that is repaired; serde_json refuses deeper texts.
const MAX_DEPTH: usize = 128;
/// Numbers out of range that are named; the others are only counted.
const MAX_NAMED: usize = 8;
/// Bytes of a number, of a key and of a path that a sentence repeats.
const MAX_NUMBER_BYTES: usize = 40;
const MAX_KEY_BYTES: usize = 100;
const MAX_PATH_BYTES: usize = 200;
/// Length from which digits alone can exceed the range of an `f64`.
const MIN_LONG_NUMBER: usize = 309;

/// What was replaced in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Lone surrogates that became U+FFFD.
    pub surrogates: usize,
    /// The first numbers out of range, which became null.
    pub numbers: Vec<OutOfRange>,
    /// How many more numbers became null.
    pub more_numbers: usize,
}

/// A number that no `f64` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfRange {
    /// The path to it, such as `metadata.sizes[2]`; empty if the text is the number.
    pub path: String,
    /// The number as it was written.
    pub text: String,
}

impl Repairs {
    /// Whether nothing was replaced.
    pub fn is_empty(&self) -> bool {
        self.surrogates == 0 && self.numbers.is_empty()
    }

    /// Says which surrogates were replaced, if any were.
    pub fn surrogates_note(&self) -> Option<String> {
        match self.surrogates {
            0 => None,
            1 => Some("half of a cut character (a lone surrogate) was replaced by U+FFFD".to_owned()),
            many => Some(format!("{many} halves of cut characters (lone surrogates) were replaced by U+FFFD")),
        }
    }

    /// Names the numbers that no `f64` holds, if there are any.
    pub fn numbers_problem(&self) -> Option<String> {
        let named: Vec<_> = self.numbers.iter().map(OutOfRange::to_string).collect();
        let more = if self.more_numbers > 0 { format!(" (and {} more)", self.more_numbers) } else { String::new() };
        (!named.is_empty()).then(|| format!("{}{more}, which JSON cannot hold as a number", named.join(", ")))
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "it is {}", self.text)
        } else {
            write!(f, "`{}` is {}", self.path, self.text)
        }
    }
}

/// The note about a text that was read after its repair.
impl fmt::Display for Repairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.numbers_problem().map(|problem| format!("{problem}: read as null"));
        f.write_str(&self.surrogates_note().into_iter().chain(numbers).collect::<Vec<_>>().join("; "))
    }
}

/// Reads a text, after a repair if serde_json refuses it.
///
/// The error is that of the text as it was given, unless the repair replaced something.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<(T, Repairs), serde_json::Error> {
    let refused = match serde_json::from_slice(text) {
        Ok(value) => return Ok((value, Repairs::default())),
        Err(refused) => refused,
    };
    match repaired(text) {
        Some((text, repairs)) => Ok((serde_json::from_slice(&text)?, repairs)),
        None => Err(refused),
    }
}

/// Replaces what serde_json refuses and has one reading; `None` if there is nothing to replace.
///
/// The result takes as much memory as the text, and the time is linear.
pub fn repaired(text: &[u8]) -> Option<(Vec<u8>, Repairs)> {
    let mut scan =
        Scan { text, at: 0, out: Vec::new(), copied: 0, levels: Vec::new(), string: 0..0, repairs: Repairs::default() };
    scan.run()?;
    (!scan.repairs.is_empty()).then(|| {
        scan.out.extend_from_slice(&text[scan.copied..]);
        (scan.out, scan.repairs)
    })
}

/// One pass over a text.
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    out: Vec<u8>,
    /// The end of the text that `out` has.
    copied: usize,
    levels: Vec<Level>,
    /// The last string, without its quotation marks: a key, if a colon follows.
    string: Range<usize>,
    repairs: Repairs,
}

/// A bracket that is open, and the place in it.
enum Level {
    Object(Range<usize>),
    Array(usize),
}

impl Scan<'_> {
    /// Runs to the end of the text; `None` if it is nested deeper than serde_json reads.
    fn run(&mut self) -> Option<()> {
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'"' => self.string(),
                b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => self.word(),
                _ => {
                    self.at += 1;
                    self.bracket(*byte)?;
                }
            }
        }
        Some(())
    }

    fn bracket(&mut self, byte: u8) -> Option<()> {
        if matches!(byte, b'{' | b'[') && self.levels.len() == MAX_DEPTH {
            return None;
        }
        match (byte, self.levels.last_mut()) {
            (b'{', _) => self.levels.push(Level::Object(0..0)),
            (b'[', _) => self.levels.push(Level::Array(0)),
            (b'}' | b']', _) => drop(self.levels.pop()),
            (b':', Some(Level::Object(key))) => key.clone_from(&self.string),
            (b',', Some(Level::Array(index))) => *index += 1,
            _ => {}
        }
        Some(())
    }

    fn string(&mut self) {
        let start = self.at + 1;
        self.at = start;
        while let Some(byte) = self.text.get(self.at).filter(|byte| **byte != b'"') {
            let is_pair = || matches!(unit(self.text, self.at + 6), Some(0xdc00..=0xdfff));
            self.at += match (byte, unit(self.text, self.at)) {
                (b'\\', Some(0xd800..=0xdbff)) if is_pair() => 12,
                (b'\\', Some(0xd800..=0xdfff)) => {
                    self.replace(self.at..self.at + 6, b"\\ufffd");
                    self.repairs.surrogates += 1;
                    6
                }
                (b'\\', _) => 2,
                _ => 1,
            };
        }
        self.at = self.at.min(self.text.len());
        self.string = start..self.at;
        self.at += 1;
    }

    /// Passes over a number, or over another word outside of strings.
    fn word(&mut self) {
        let rest = &self.text[self.at..];
        let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let length = rest.iter().position(|byte| !is_inside(byte)).unwrap_or(rest.len());
        let word = &rest[..length];
        if is_out_of_range(word) {
            if self.repairs.numbers.len() < MAX_NAMED {
                let text = cut(&String::from_utf8_lossy(word), MAX_NUMBER_BYTES);
                self.repairs.numbers.push(OutOfRange { path: self.path(), text });
            } else {
                self.repairs.more_numbers += 1;
            }
            self.replace(self.at..self.at + length, b"null");
        }
        self.at += length;
    }

    fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        self.out.extend_from_slice(&self.text[self.copied..range.start]);
        self.out.extend_from_slice(with);
        self.copied = range.end;
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for level in &self.levels {
            match level {
                Level::Object(key) => {
                    let key = cut(&String::from_utf8_lossy(&self.text[key.clone()]), MAX_KEY_BYTES);
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(&key);
                }
                Level::Array(index) => path.push_str(&format!("[{index}]")),
            }
        }
        cut(&path, MAX_PATH_BYTES)
    }
}

/// Parses a `\uXXXX` escape.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digit = |unit: u16, byte: &u8| Some(unit << 4 | char::from(*byte).to_digit(16)? as u16);
    digits.iter().try_fold(0, digit)
}

/// Whether a word is a number that no `f64` holds. serde_json decides it, as it decides what a
/// number is.
fn is_out_of_range(word: &[u8]) -> bool {
    if matches!(word, b"NaN" | b"Infinity" | b"-Infinity") {
        return true;
    }
    let may_be_large = word.len() >= MIN_LONG_NUMBER || word.iter().any(|byte| matches!(byte, b'e' | b'E'));
    may_be_large
        && matches!(word.first(), Some(b'-' | b'0'..=b'9'))
        && serde_json::from_slice::<IgnoredAny>(word).is_ok()
        && serde_json::from_slice::<f64>(word).is_err()
}

fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn lenient(text: &str) -> (Value, Repairs) {
        read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character_and_a_pair_stays() {
        for (text, expected, count) in [
            (r#""cut \ud83d""#, "cut \u{fffd}", 1),
            (r#""\uDE00 low""#, "\u{fffd} low", 1),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀", 1),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}", 2),
            (r#""\ud83d\n""#, "\u{fffd}\n", 1),
            (r#""\ud83d\\ude00""#, "\u{fffd}\\ude00", 1),
            (r#""\\ud83d \ud83d""#, "\\ud83d \u{fffd}", 1),
        ] {
            let (value, repairs) = lenient(text);
            assert_eq!((value, repairs.surrogates), (json!(expected), count), "{text}");
        }
        assert_eq!(lenient(r#"{"\ud83d": 1}"#).0, json!({"\u{fffd}": 1}));
        assert_eq!(lenient(r#""\ud83d\ude00 \\ud83d""#), (json!("😀 \\ud83d"), Repairs::default()));
    }

    #[test]
    fn a_number_that_no_f64_holds_becomes_null_and_is_named() {
        let long = "9".repeat(400);
        let text = format!(
            r#"{{"a": {{"b,": [1, -1e400, "1e400"]}}, "c": NaN, "d": -Infinity, "e": 1e308, "f": 1E-999, "g": {long}}}"#
        );
        let (value, repairs) = lenient(&text);
        let expected = json!({"a": {"b,": [1, null, "1e400"]}, "c": null, "d": null, "e": 1e308, "f": 0.0, "g": null});
        assert_eq!(value, expected);
        let named: Vec<_> = repairs.numbers.iter().map(|number| (number.path.as_str(), number.text.len())).collect();
        assert_eq!(named, [("a.b,[1]", 6), ("c", 3), ("d", 9), ("g", MAX_NUMBER_BYTES)]);
        assert_eq!(
            lenient(r#"{"a": 1e400, "b": "\ud83d"}"#).1.to_string(),
            "half of a cut character (a lone surrogate) was replaced by U+FFFD; \
             `a` is 1e400, which JSON cannot hold as a number: read as null"
        );
        let many = lenient(&format!("[{}1e999]", "1e999,".repeat(99))).1;
        assert_eq!((many.numbers.len(), many.more_numbers), (MAX_NAMED, 100 - MAX_NAMED));
        assert_eq!(lenient("1e400").1.numbers_problem().unwrap(), "it is 1e400, which JSON cannot hold as a number");
    }

    #[test]
    fn what_else_is_wrong_stays_wrong() {
        let deep = format!("{}1e400{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in [
            "",
            "{",
            r#""\ud83d"#,
            r#""\ud8""#,
            r#""\ud83d" x"#,
            "[01e400]",
            "+1e400",
            "1.e400",
            "nan",
            "[NaN,]",
            &deep,
        ] {
            assert!(read::<Value>(text.as_bytes()).is_err(), "{text:.20}");
        }
        assert!(read::<Value>(b"\"\xff \\ud83d\"").is_err());
    }

    /// Texts that are nearly JSON.
    fn nearly() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "\\ud83d", "\\ude00", "\\uD8", "\"a\"", "1e400", "-1",
            "NaN", "Infinity", "null", " ", "é", "0.5",
        ]);
        prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
    }

    fn valid() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            any::<u64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            nearly().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|fields| fields.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_a_repair_needs_no_other(bytes: Vec<u8>, text in nearly()) {
            for text in [bytes.as_slice(), text.as_bytes(), format!("[{text}]").as_bytes(), format!("\"{text}\"").as_bytes()] {
                let given = serde_json::from_slice::<Value>(text).ok();
                match (repaired(text), given) {
                    (Some(_), Some(_)) => prop_assert!(false, "valid JSON was changed: {}", String::from_utf8_lossy(text)),
                    (Some((again, repairs)), None) => {
                        prop_assert!(!repairs.is_empty() && repaired(&again).is_none());
                        prop_assert_eq!(std::str::from_utf8(text).is_ok(), std::str::from_utf8(&again).is_ok());
                    }
                    (None, given) => prop_assert_eq!(read::<Value>(text).ok().map(|(value, _)| value), given),
                }
            }
        }

        #[test]
        fn valid_json_is_unchanged(value in valid()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert!(repaired(text.as_bytes()).is_none(), "{}", text);
                let (again, repairs) = read::<Value>(text.as_bytes()).unwrap();
                prop_assert_eq!(again, serde_json::from_str::<Value>(&text).unwrap());
                prop_assert!(repairs.is_empty());
            }
        }
    }
}
