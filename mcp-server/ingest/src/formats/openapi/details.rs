//! An operation's whole schema, with references resolved as far as a record may hold them.

use std::collections::HashMap;

use pgrecall_record::source::{MAX_DETAILS_BYTES, foreign_scheme};
use serde_json::{Map, Value, json};

use super::{
    Operation, Section,
    documents::Node,
    resolve::{Resolver, TooMuch},
};

/// Depths of nested references to try: first all of them, then fewer if the result is too large.
const DEPTHS: [usize; 6] = [usize::MAX, 6, 3, 2, 1, 0];
/// Bytes reserved for the blanks that Postgres adds when it prints jsonb, and for the text around
/// the parts.
const RESERVED_BYTES: usize = 64 * 1024;

/// Returns the details of an operation, and whether every reference in them is resolved.
pub(super) fn of<'r>(operation: &Operation<'r>, resolver: &mut Resolver<'r>) -> (Map<String, Value>, bool) {
    for deep in DEPTHS {
        // The parameters of a path and the fields at the top of the file are written out once per
        // operation, and a file may have a million operations. A file that has spent its budget
        // gets unresolved references only; one that has spent it twice gets no schema at all.
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
    let path = operation.section.field().to_owned();
    Map::from_iter([("method".to_owned(), json!(operation.method)), (path, json!(operation.path))])
}

fn resolved<'r>(
    operation: &Operation<'r>,
    resolver: &mut Resolver<'r>,
    deep: usize,
) -> Result<Map<String, Value>, TooMuch> {
    let mut details = named(operation);
    let mut left = MAX_DETAILS_BYTES - RESERVED_BYTES;
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
            let value = resolver.resolve(Node { value, document: operation.document }, deep, left)?;
            add(name, value, &mut left)?;
        }
    }
    // The nearest definition applies: the operation's own, then its path's, then the file's.
    for name in ["servers", "security", "consumes", "produces", "schemes", "host", "basePath"] {
        let own = operation.object.get(name).or(operation.beside.get(name));
        let own = own.map(|value| Node { value, document: operation.document });
        // Webhooks and callbacks are called on the client's server, not on that of the API.
        let of_file = operation.root.get(name).filter(|_| operation.section == Section::Path);
        let nearest = own.or(of_file.map(|value| Node { value, document: 0 }));
        if let Some(node) =
            nearest.filter(|_| name == "servers" || name == "security" || !operation.object.contains_key(name))
        {
            let mut value = resolver.resolve(node, deep, left)?;
            if let (true, Some(servers)) = (name == "servers", value.as_array_mut()) {
                // A host makes links of these URLs, as it does of a record's own, so foreign
                // schemes such as `javascript:` are removed.
                servers.retain(|server| server["url"].as_str().and_then(foreign_scheme).is_none());
            }
            add(name, value, &mut left)?;
        }
    }
    Ok(details)
}

/// Merges the path's parameters with the operation's own, which win if name and location are equal.
fn parameters<'r>(
    operation: &Operation<'r>,
    resolver: &mut Resolver<'r>,
    deep: usize,
    mut left: usize,
) -> Result<Vec<Value>, TooMuch> {
    let (mut all, mut identities) = (Vec::new(), HashMap::new());
    for object in [operation.beside, operation.object] {
        for given in object.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            let node = Node { value: given, document: operation.document };
            let followed = resolver.follow(node).value;
            let text = |name: &str| followed.get(name).and_then(Value::as_str);
            // A parameter's name and location identify it, so at least the reference to the
            // parameter itself is resolved.
            let identity = (text("name"), text("in"));
            let value = resolver.resolve(node, deep.max(1), left)?;
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
