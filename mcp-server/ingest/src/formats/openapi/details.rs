//! An operation's whole schema, its references written out as far as a record may hold them.

use std::collections::HashMap;

use pgrecall_record::source::{MAX_DETAILS_BYTES, foreign_scheme};
use serde_json::{Map, Value, json};

use super::{
    Operation,
    resolve::{Resolver, TooMuch},
};

/// How many references within each other are written out: all of them, or fewer where that is too much.
const DEPTHS: [usize; 6] = [usize::MAX, 6, 3, 2, 1, 0];
/// What Postgres adds when it writes jsonb as text again, and what stands around the parts.
const RESERVED: usize = 64 * 1024;

/// The details of an operation, and whether every reference in them is written out.
pub(super) fn of<'r>(operation: &Operation<'r>, resolver: &mut Resolver<'r>) -> (Map<String, Value>, bool) {
    for deep in DEPTHS {
        // A file that has had enough written out gets what is there, and one that has had twice as much gets nothing: what stands at the path
        // of a million operations, or at the top of the file, is written out for each.
        if resolver.is_exhausted() || resolver.is_spent() && deep > 0 {
            continue;
        }
        resolver.take_cut();
        if let Ok(details) = resolved(operation, resolver, deep) {
            return (details, !resolver.take_cut());
        }
    }
    let mut details = named(operation);
    details.insert("note".to_owned(), json!("the schema is too large to be kept; it is in the file"));
    (details, false)
}

fn named(operation: &Operation<'_>) -> Map<String, Value> {
    let mut details = Map::new();
    details.insert("method".to_owned(), json!(operation.method));
    details.insert("path".to_owned(), json!(operation.path));
    details
}

fn resolved<'r>(
    operation: &Operation<'r>,
    resolver: &mut Resolver<'r>,
    deep: usize,
) -> Result<Map<String, Value>, TooMuch> {
    let mut details = named(operation);
    let mut left = MAX_DETAILS_BYTES - RESERVED;
    let mut add = |name: &str, value: Value, left: &mut usize| {
        *left = left.checked_sub(value.to_string().len() + name.len() + 4).ok_or(TooMuch)?;
        details.insert(name.to_owned(), value);
        Ok(())
    };
    let parameters = parameters(operation, resolver, deep, left)?;
    if !parameters.is_empty() {
        add("parameters", Value::Array(parameters), &mut left)?;
    }
    for (name, value) in operation.object {
        if !["parameters", "servers", "security"].contains(&name.as_str()) {
            let value = resolver.resolve(value, deep, left)?;
            add(name, value, &mut left)?;
        }
    }
    // What is nearest holds: the operation's own, its path's, the file's.
    for name in ["servers", "security", "consumes", "produces", "schemes", "host", "basePath"] {
        let nearest = operation.object.get(name).or(operation.beside.get(name)).or(operation.root.get(name));
        if let Some(value) =
            nearest.filter(|_| name == "servers" || name == "security" || !operation.object.contains_key(name))
        {
            let mut value = resolver.resolve(value, deep, left)?;
            if let (true, Some(servers)) = (name == "servers", value.as_array_mut()) {
                // A host makes links of them, as of a record's own address.
                servers.retain(|server| server["url"].as_str().and_then(foreign_scheme).is_none());
            }
            add(name, value, &mut left)?;
        }
    }
    Ok(details)
}

/// The path's parameters and the operation's own; of one name in one place the operation's holds.
fn parameters<'r>(
    operation: &Operation<'r>,
    resolver: &mut Resolver<'r>,
    deep: usize,
    mut left: usize,
) -> Result<Vec<Value>, TooMuch> {
    let (mut all, mut identities) = (Vec::new(), HashMap::new());
    for object in [operation.beside, operation.object] {
        for given in object.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            let followed = resolver.follow(given);
            let text = |name: &str| followed.get(name).and_then(Value::as_str);
            // A parameter is one by its name and place, also where its schema stays a reference.
            let identity = (text("name"), text("in"));
            let value = resolver.resolve(given, deep.max(1), left)?;
            left = left.checked_sub(value.to_string().len()).ok_or(TooMuch)?;
            match identities.get(&identity) {
                Some(earlier) => all[*earlier] = value,
                None => {
                    if identity.0.is_some() {
                        identities.insert(identity, all.len());
                    }
                    all.push(value);
                }
            }
        }
    }
    Ok(all)
}
