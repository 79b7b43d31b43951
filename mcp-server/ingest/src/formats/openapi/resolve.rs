//! References within a description, replaced by what they name.
//!
//! Ten schemas that name each other twice come to a thousand when they are written out, and forty to more than any disk holds. So what is
//! written out is counted while it is, and whoever asks says how many references deep it may go: [`Resolver::resolve`] gives up at the
//! first byte too many, and is asked again for less.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Levels of a value with its references written out: the deepest of its consumers is a parser that allows 127.
const MAX_DEPTH: usize = 96;
/// References to references that are followed to one thing.
const MAX_FOLLOWED: usize = 16;
/// Bytes that one file may have written out, tries that came to too much included.
const MAX_SPENT: usize = 512 * 1024 * 1024;
/// References that cannot be resolved, of which the first are kept for the report.
const MAX_TOLD: usize = 1_000;

/// It comes to more than it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Resolves the references of one file.
pub(super) struct Resolver<'r> {
    root: &'r Value,
    spent: usize,
    budget: usize,
    /// Whether a reference was left as it is for being too deep, since somebody asked.
    was_cut: bool,
    broken: BTreeSet<String>,
    outside: BTreeSet<String>,
}

/// One value on its way.
struct Run<'a> {
    /// References that are being written out, and that must not be again below themselves.
    within: Vec<&'a str>,
    depth: usize,
    /// References within references that may be written out.
    deep: usize,
    left: usize,
}

impl<'r> Resolver<'r> {
    pub(super) fn new(root: &'r Value) -> Self {
        Self::within(root, MAX_SPENT)
    }

    /// A resolver that writes out this many bytes before it shortens the rest.
    pub(super) fn within(root: &'r Value, budget: usize) -> Self {
        Self { root, spent: 0, budget, was_cut: false, broken: BTreeSet::new(), outside: BTreeSet::new() }
    }

    /// What a value is, or what it refers to; itself where that is nothing.
    pub(super) fn follow(&self, value: &'r Value) -> &'r Value {
        let mut at = value;
        for _ in 0..MAX_FOLLOWED {
            match reference(at).and_then(|reference| self.find(reference)) {
                Some(found) => at = found,
                None => break,
            }
        }
        at
    }

    /// The value with its references written out, `deep` of them within each other and in so many bytes.
    pub(super) fn resolve(&mut self, value: &'r Value, deep: usize, bytes: usize) -> Result<Value, TooMuch> {
        let mut run = Run { within: Vec::new(), depth: 0, deep, left: bytes };
        let resolved = self.value(value, &mut run, false);
        self.spent = self.spent.saturating_add(bytes - run.left);
        resolved
    }

    /// Whether a reference was left as it is, for being too deep, since this was asked last.
    pub(super) fn take_cut(&mut self) -> bool {
        std::mem::take(&mut self.was_cut)
    }

    /// Whether the file had so much written out that the rest of it must do with less.
    pub(super) fn is_spent(&self) -> bool {
        self.spent > self.budget
    }

    /// Whether the rest of the file must do with nothing.
    pub(super) fn is_exhausted(&self) -> bool {
        self.spent > 2 * self.budget
    }

    /// The references that name nothing, and those that lead out of the file.
    pub(super) fn unresolved(self) -> (Vec<String>, Vec<String>) {
        (self.broken.into_iter().collect(), self.outside.into_iter().collect())
    }

    /// `are_names`: the value's keys are names that somebody chose, such as a schema's properties, and mean nothing.
    fn value(&mut self, value: &'r Value, run: &mut Run<'r>, are_names: bool) -> Result<Value, TooMuch> {
        match value {
            Value::Object(object) => {
                if let Some(reference) = reference(value).filter(|_| !are_names) {
                    return self.reference(reference, object, run);
                }
                run.spend(2)?;
                run.depth += 1;
                let mut resolved = Map::with_capacity(object.len());
                for (key, item) in object {
                    run.spend(key.len() + 4)?;
                    // What an example says is no schema, whatever it looks like.
                    let is_data = !are_names && ["example", "default", "enum", "const"].contains(&key.as_str());
                    let item = if is_data || run.depth >= MAX_DEPTH {
                        run.spend(size(item, run.left)?)?;
                        item.clone()
                    } else {
                        let names = ["properties", "patternProperties", "$defs", "definitions"];
                        self.value(item, run, !are_names && names.contains(&key.as_str()))?
                    };
                    resolved.insert(key.clone(), item);
                }
                run.depth -= 1;
                Ok(Value::Object(resolved))
            }
            Value::Array(items) => {
                run.spend(2)?;
                run.depth += 1;
                let items = items.iter().map(|item| {
                    run.spend(1)?;
                    if run.depth >= MAX_DEPTH {
                        run.spend(size(item, run.left)?)?;
                        return Ok(item.clone());
                    }
                    self.value(item, run, false)
                });
                let items = items.collect::<Result<_, _>>()?;
                run.depth -= 1;
                Ok(Value::Array(items))
            }
            scalar => {
                run.spend(size(scalar, run.left)?)?;
                Ok(scalar.clone())
            }
        }
    }

    fn reference(
        &mut self,
        reference: &'r str,
        object: &'r Map<String, Value>,
        run: &mut Run<'r>,
    ) -> Result<Value, TooMuch> {
        let kept = |run: &mut Run<'r>| {
            run.spend(size(object, run.left)?)?;
            Ok(Value::Object(object.clone()))
        };
        if !reference.starts_with('#') {
            note(&mut self.outside, reference);
            return kept(run);
        }
        let Some(found) = self.find(reference) else {
            note(&mut self.broken, reference);
            return kept(run);
        };
        if run.within.contains(&reference) {
            run.spend(reference.len() + 32)?;
            return Ok(json!({"$ref": reference, "note": "recursive"}));
        }
        if run.within.len() >= run.deep.min(MAX_DEPTH) || run.depth >= MAX_DEPTH {
            self.was_cut = true;
            return kept(run);
        }
        run.within.push(reference);
        let mut resolved = self.value(found, run, false)?;
        run.within.pop();
        // What stands beside a reference, a description above all, stands above what it names.
        if let Value::Object(resolved) = &mut resolved {
            for (key, beside) in object.iter().filter(|(key, _)| *key != "$ref") {
                run.spend(key.len() + 4)?;
                run.spend(size(beside, run.left)?)?;
                resolved.insert(key.clone(), beside.clone());
            }
        }
        Ok(resolved)
    }

    /// What `#/a/b` names.
    fn find(&self, reference: &str) -> Option<&'r Value> {
        let pointer = reference.strip_prefix('#')?;
        if let Some(found) = self.root.pointer(pointer) {
            return Some(found);
        }
        self.root.pointer(&unescaped(pointer)?)
    }
}

impl Run<'_> {
    fn spend(&mut self, bytes: usize) -> Result<(), TooMuch> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(TooMuch)
            }
        }
    }
}

/// The reference that a value is. A property that is called `$ref` has a schema, not a text.
fn reference(value: &Value) -> Option<&str> {
    value.as_object()?.get("$ref")?.as_str()
}

fn note(references: &mut BTreeSet<String>, reference: &str) {
    if references.len() < MAX_TOLD {
        references.insert(reference.to_owned());
    }
}

/// Bytes of a value as JSON, unless they are more than `limit`.
fn size(value: &impl Serialize, limit: usize) -> Result<usize, TooMuch> {
    let mut counter = Counter { bytes: 0, limit };
    serde_json::to_writer(&mut counter, value).map_err(|_| TooMuch)?;
    Ok(counter.bytes)
}

struct Counter {
    bytes: usize,
    limit: usize,
}

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes += bytes.len();
        if self.bytes > self.limit { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A pointer in an address has what may not stand in one as `%7B`.
fn unescaped(pointer: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
