//! The operations of an API description: those under `paths`, and its webhooks.

use serde_json::{Map, Value};

use super::{
    Gaps, Operation,
    documents::Node,
    resolve::{Resolver, reference},
};

const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];
/// Fields of a path item that are no operations.
const FIELDS: [&str; 6] = ["$ref", "summary", "description", "servers", "parameters", "additionalOperations"];
/// The fields at the top of a description that hold path items, and whether these are webhooks.
/// Descriptions for OpenAPI 3.0 have their webhooks in an extension.
const SECTIONS: [(&str, bool); 3] = [("paths", false), ("webhooks", true), ("x-webhooks", true)];

/// Passes each path item to `take`, with its path and whether it is a webhook.
pub(super) fn each<'r, E>(
    description: Node<'r>,
    mut take: impl FnMut(&'r str, Node<'r>, bool) -> Result<(), E>,
) -> Result<(), E> {
    for (section, is_webhook) in SECTIONS {
        let items = description.value.get(section).and_then(Value::as_object);
        for (path, value) in items.into_iter().flatten().filter(|(path, _)| !path.starts_with("x-")) {
            take(path, Node { value, ..description }, is_webhook)?;
        }
    }
    Ok(())
}

/// Returns the operations of a path item, and notes its parts that are none.
pub(super) fn operations<'r>(
    (path, item, is_webhook): (&'r str, Node<'r>, bool),
    description: Node<'r>,
    resolver: &mut Resolver<'r>,
    gaps: &mut Gaps,
) -> Vec<Operation<'r>> {
    let mut operations = Vec::new();
    // A path item may have operations of its own next to a reference.
    let followed = resolver.follow(item);
    let is_own = reference(item.value).is_some() && !std::ptr::eq(followed.value, item.value);
    for item in [Some(followed), is_own.then_some(item)].into_iter().flatten() {
        let Some(beside) = item.value.as_object() else {
            gaps.left_out.push(path.to_owned());
            continue;
        };
        if let Some(unresolved) = reference(item.value).filter(|_| std::ptr::eq(item.value, followed.value)) {
            resolver.note_unresolved(item.document, unresolved);
            gaps.is_partial |= resolver.may_be_read(item.document, unresolved);
            gaps.left_out.push(path.to_owned());
        }
        let own = beside.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str()) && !name.starts_with("x-"));
        let more = beside.get("additionalOperations").and_then(Value::as_object).into_iter().flatten();
        let own = own.map(|(method, value)| (method, value, METHODS.contains(&&*method.to_ascii_lowercase())));
        for (method, value, is_method) in own.chain(more.map(|(method, value)| (method, value, true))) {
            let operation = |object: &'r Map<String, Value>| Operation {
                method: method.to_ascii_uppercase(),
                path,
                is_webhook,
                object,
                beside,
                document: item.document,
                root: description.value,
            };
            match value.as_object().filter(|_| is_method) {
                Some(object) => operations.push(operation(object)),
                None => gaps.left_out.push(format!("{method} {path}")),
            }
        }
    }
    operations
}
