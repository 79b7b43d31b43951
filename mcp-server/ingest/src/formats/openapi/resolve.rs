//! Replaces the references in an API description by the values that they name.
//!
//! The output can grow exponentially: ten schemas that name each other twice expand to a thousand,
//! and forty to more than any disk holds. So the resolver counts the bytes while it expands, and
//! the caller limits the depth of nested references. [`Resolver::resolve`] gives up at the first
//! byte over the limit, and the caller retries with a smaller depth.

use std::{collections::BTreeSet, iter};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::documents::{Documents, Node, Target};

/// Depth of a value with its references expanded. The strictest consumer is a parser that allows
/// 127.
const MAX_DEPTH: usize = 96;
/// Number of references to references that are followed to one value.
const MAX_FOLLOWED: usize = 16;
/// Bytes that are expanded for one file, including attempts that exceeded their limit.
const MAX_SPENT: usize = 512 * 1024 * 1024;
/// Number of unresolvable references that are remembered for the report.
const MAX_TOLD: usize = 1_000;

/// An error: the expanded value exceeds its limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Resolves the references of one description.
pub(super) struct Resolver<'r> {
    documents: &'r Documents,
    spent: usize,
    budget: usize,
    /// Whether a reference was left as it is because of its depth, since the flag was last taken.
    was_cut: bool,
    broken: BTreeSet<String>,
    outside: BTreeSet<String>,
}

/// The state of one call to `resolve`.
struct Run<'a> {
    /// The references that are being expanded, and the documents that have them. Expanding one of
    /// them below itself would never end.
    within: Vec<(usize, &'a str)>,
    /// The document of the value that is being copied.
    document: usize,
    depth: usize,
    /// Depth of nested references that may be expanded.
    deep: usize,
    left: usize,
}

impl<'r> Resolver<'r> {
    pub(super) fn new(documents: &'r Documents) -> Self {
        Self::within(documents, MAX_SPENT)
    }

    /// Creates a resolver that expands `budget` bytes before it shortens the rest.
    pub(super) fn within(documents: &'r Documents, budget: usize) -> Self {
        Self { documents, spent: 0, budget, was_cut: false, broken: BTreeSet::new(), outside: BTreeSet::new() }
    }

    /// Follows a chain of references to its last value. A value that is no reference is returned as
    /// it is.
    pub(super) fn follow(&self, node: Node<'r>) -> Node<'r> {
        let next = |at: &Node<'r>| match self.documents.find(at.document, reference(at.value)?) {
            Target::Found(node) => Some(node),
            Target::Missing | Target::Outside => None,
        };
        iter::successors(Some(node), next).take(1 + MAX_FOLLOWED).last().unwrap_or(node)
    }

    /// Expands the references in a value, to a depth of `deep` and into at most `bytes` bytes.
    pub(super) fn resolve(&mut self, node: Node<'r>, deep: usize, bytes: usize) -> Result<Value, TooMuch> {
        let mut run = Run { within: Vec::new(), document: node.document, depth: 0, deep, left: bytes };
        let resolved = self.value(node.value, &mut run, false);
        self.spent = self.spent.saturating_add(bytes - run.left);
        resolved
    }

    /// Takes the flag that says whether a reference was left as it is because of its depth.
    pub(super) fn take_cut(&mut self) -> bool {
        std::mem::take(&mut self.was_cut)
    }

    /// Whether the file has spent its budget, so that the rest of it is expanded less.
    pub(super) fn is_spent(&self) -> bool {
        self.spent > self.budget
    }

    /// Whether the file has spent twice its budget, so that the rest of it is not expanded at all.
    pub(super) fn is_exhausted(&self) -> bool {
        self.spent > 2 * self.budget
    }

    /// Returns the references that name nothing, and those that point to other files.
    pub(super) fn unresolved(self) -> (Vec<String>, Vec<String>) {
        (self.broken.into_iter().collect(), self.outside.into_iter().collect())
    }

    /// Copies a value, and expands the references in it.
    ///
    /// `are_names`: the value's keys are names that an author chose, such as a schema's properties,
    /// so a `$ref` or an `example` among them has no special meaning.
    fn value(&mut self, value: &'r Value, run: &mut Run<'r>, are_names: bool) -> Result<Value, TooMuch> {
        match value {
            _ if run.depth >= MAX_DEPTH => run.copy(value),
            Value::Object(object) => {
                if let Some(reference) = reference(value).filter(|_| !are_names) {
                    return self.reference(reference, object, run);
                }
                run.spend(2)?;
                run.depth += 1;
                let mut resolved = Map::with_capacity(object.len());
                for (key, item) in object {
                    run.spend(key.len() + 4)?;
                    // An example or a default is data, so a `$ref` in it is not a reference.
                    let is_data = !are_names && ["example", "default", "enum", "const"].contains(&key.as_str());
                    let item = if is_data {
                        run.copy(item)?
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
                    self.value(item, run, false)
                });
                let items = items.collect::<Result<_, _>>()?;
                run.depth -= 1;
                Ok(Value::Array(items))
            }
            scalar => run.copy(scalar),
        }
    }

    fn reference(
        &mut self,
        reference: &'r str,
        object: &'r Map<String, Value>,
        run: &mut Run<'r>,
    ) -> Result<Value, TooMuch> {
        let Target::Found(found) = self.documents.find(run.document, reference) else {
            self.note_unresolved(run.document, reference);
            return run.copy(object).map(Value::Object);
        };
        let identity = (run.document, reference);
        if run.within.contains(&identity) {
            run.spend(reference.len() + 32)?;
            return Ok(json!({"$ref": reference, "note": "recursive"}));
        }
        if run.within.len() >= run.deep.min(MAX_DEPTH) || run.depth >= MAX_DEPTH {
            self.was_cut = true;
            return run.copy(object).map(Value::Object);
        }
        run.within.push(identity);
        run.document = found.document;
        let mut resolved = self.value(found.value, run, false)?;
        (run.document, _) = identity;
        run.within.pop();
        // Fields next to a reference, most often a description, override those of the target.
        if let Value::Object(resolved) = &mut resolved {
            for (key, beside) in object.iter().filter(|(key, _)| *key != "$ref") {
                run.spend(key.len() + 4)?;
                resolved.insert(key.clone(), run.copy(beside)?);
            }
        }
        Ok(resolved)
    }

    /// Whether a reference names a file that a run with another folder might read.
    pub(super) fn may_be_read(&self, document: usize, reference: &str) -> bool {
        self.documents.may_be_read(document, reference)
    }

    /// Remembers a reference that names nothing.
    pub(super) fn note_unresolved(&mut self, document: usize, reference: &str) {
        match self.documents.find(document, reference) {
            Target::Outside => note(&mut self.outside, reference),
            Target::Missing => note(&mut self.broken, reference),
            Target::Found(_) => {}
        }
    }
}

impl Run<'_> {
    fn spend(&mut self, bytes: usize) -> Result<(), TooMuch> {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or_default();
        left.map(drop).ok_or(TooMuch)
    }

    /// Copies a value as it is.
    fn copy<T: Serialize + Clone>(&mut self, value: &T) -> Result<T, TooMuch> {
        self.spend(size(value, self.left)?)?;
        Ok(value.clone())
    }
}

/// Returns the reference, if the value is one.
///
/// A property that is called `$ref` has a schema, not a text, so it is not mistaken for a
/// reference.
pub(super) fn reference(value: &Value) -> Option<&str> {
    value.as_object()?.get("$ref")?.as_str()
}

fn note(references: &mut BTreeSet<String>, reference: &str) {
    if references.len() < MAX_TOLD {
        references.insert(reference.to_owned());
    }
}

/// Returns the size of a value as JSON, unless it exceeds `limit` bytes.
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
