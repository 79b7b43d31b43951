//! The operations of an API description: those under `paths`, its webhooks, and the callbacks of
//! these.

use serde_json::{Map, Value};

use super::{
    Gaps, Operation, Section,
    documents::Node,
    resolve::{Resolver, reference},
};

const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];
/// Fields of a path item that are no operations.
const FIELDS: [&str; 6] = ["$ref", "summary", "description", "servers", "parameters", "additionalOperations"];
/// The fields at the top of a description that hold path items. Descriptions for OpenAPI 3.0 have
/// their webhooks in an extension.
const SECTIONS: [(&str, Section); 3] =
    [("paths", Section::Path), ("webhooks", Section::Webhook), ("x-webhooks", Section::Webhook)];
/// Path items of callbacks in one description. A million operations may share a million callbacks.
const MAX_CALLBACKS: usize = 10_000;

/// A path item, with its path or name.
pub(super) struct Item<'r> {
    path: String,
    node: Node<'r>,
    section: Section,
}

/// Passes each path item to `take`.
pub(super) fn each<'r, E>(description: Node<'r>, mut take: impl FnMut(Item<'r>) -> Result<(), E>) -> Result<(), E> {
    for (name, section) in SECTIONS {
        for (path, value) in members(description.value.get(name)) {
            take(Item { path: path.clone(), node: Node { value, ..description }, section: section.clone() })?;
        }
    }
    Ok(())
}

/// Returns the path items of an operation's callbacks, and notes what is none.
///
/// Callbacks of callbacks are only noted: each may name itself.
pub(super) fn callbacks<'r>(operation: &Operation<'r>, resolver: &mut Resolver<'r>, gaps: &mut Gaps) -> Vec<Item<'r>> {
    let (mut items, of) = (Vec::new(), operation.name());
    for (name, value) in members(operation.object.get("callbacks")) {
        let callback = resolver.follow(Node { value, document: operation.document });
        if let Some(unresolved) = reference(callback.value) {
            resolver.note_unresolved(callback.document, unresolved);
            gaps.is_partial |= resolver.may_be_read(callback.document, unresolved);
        }
        if reference(callback.value).is_some() || !callback.value.is_object() || gaps.callbacks >= MAX_CALLBACKS {
            gaps.left_out.push(format!("{name} (callback of {of})"));
            continue;
        }
        for (address, value) in members(Some(callback.value)).take(MAX_CALLBACKS - gaps.callbacks) {
            gaps.callbacks += 1;
            let section = Section::Callback(of.clone());
            items.push(Item { path: format!("{name} {address}"), node: Node { value, ..callback }, section });
        }
    }
    items
}

/// Returns the members of an object but its extensions.
fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten().filter(|(name, _)| !name.starts_with("x-"))
}

/// Returns the operations of a path item, and notes its parts that are none.
pub(super) fn operations<'r>(
    Item { path, node: item, section }: Item<'r>,
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
                path: path.clone(),
                section: section.clone(),
                object,
                beside,
                document: item.document,
                root: description.value,
            };
            match value.as_object().filter(|_| is_method) {
                Some(object) => {
                    if matches!(section, Section::Callback(_)) && object.contains_key("callbacks") {
                        gaps.left_out.push(format!("callbacks of {method} {path}"));
                    }
                    operations.push(operation(object));
                }
                None => gaps.left_out.push(format!("{method} {path}")),
            }
        }
    }
    operations
}
