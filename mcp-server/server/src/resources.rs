//! Resources: whole records by URI, for hosts that let a person choose the model's input.

use pgrecall_postgres::db::Scope;
use pgrecall_record::{source::SourceKind, visible};
use pgrecall_store::{
    read,
    recall::{Filter, Hit},
    review,
};
use rmcp::{
    ErrorData,
    model::{ListResourcesResult, MetaObject, ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde_json::json;
use shared::engine::Engine;
use uuid::Uuid;

use crate::tools::{StoredText, ToolError, cursor, fetch, present};

/// Records of one page.
const PAGE_RECORDS: usize = 50;
/// Characters of a text without a title that are read: enough to make a title.
const TITLE_CHARACTERS: i32 = 1_000;
/// The call that a cursor of the list is bound to.
const LIST: &str = "resources/list";

/// Returns the URI templates: a record's URI has its kind and its id.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = |kind: SourceKind| {
        let name = kind.as_str();
        ResourceTemplate::new(format!("{name}://{{id}}"), name)
            .with_description(format!("One {} by its id", name.replace('_', " ")))
            .with_mime_type("text/markdown")
    };
    SourceKind::ALL.iter().map(|kind| template(*kind)).collect()
}

/// Returns a page of the newest records.
pub(crate) async fn list(
    engine: &Engine,
    scope: &Scope,
    cursor: Option<&str>,
) -> Result<ListResourcesResult, ToolError> {
    let after = cursor.map(|cursor| cursor::open(engine, scope, LIST, cursor)).transpose()?;
    let everything = Filter { kinds: SourceKind::ALL.to_vec(), ..Filter::default() };
    let page = review::list(engine.db(), scope, &everything, after, PAGE_RECORDS, TITLE_CHARACTERS).await?;
    let mut listed = ListResourcesResult::with_all_items(page.hits.iter().map(|hit| resource(hit, scope)).collect());
    listed.next_cursor = page.next.map(|place| cursor::seal(engine, scope, LIST, place));
    Ok(listed)
}

fn resource(hit: &Hit, scope: &Scope) -> Resource {
    let kind = hit.kind.as_str().replace('_', " ");
    let owner = hit.owner.as_ref().unwrap_or(&scope.owner);
    let description = format!("{kind} of {owner}, {}", hit.updated_at.strftime("%Y-%m-%d"));
    Resource::new(uri(hit), visible::line(&present::title(hit)))
        .with_description(visible::line(&description))
        .with_mime_type("text/markdown")
}

fn uri(hit: &Hit) -> String {
    format!("{}://{}", hit.kind, hit.id)
}

/// Returns one whole record.
pub(crate) async fn read(engine: &Engine, scope: &Scope, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let missing = |sentence: &'static str| ErrorData::resource_not_found(sentence, Some(json!({"uri": uri})));
    let (kind, id) =
        parse(uri).ok_or_else(|| missing("write KIND://ID, with the id of a result of search or memory_recall"))?;
    let found = read::fetch(engine.db(), scope, id).await.map_err(ToolError::from)?;
    let found = found
        .filter(|found| found.hit.kind == kind)
        .ok_or_else(|| missing("there is no such record: it may have been forgotten"))?;
    let text = visible::text(&fetch::whole_text(&found)).into_owned();
    let mut meta = MetaObject::new();
    meta.insert("pgrecall/notice".to_owned(), StoredText::NOTICE.into());
    meta.insert("pgrecall/owner".to_owned(), found.hit.owner.as_ref().unwrap_or(&scope.owner).as_str().into());
    let contents = ResourceContents::text(text, uri).with_mime_type("text/markdown").with_meta(meta);
    Ok(ReadResourceResult::new(vec![contents]))
}

/// Returns the id of the record that a URI names.
pub(crate) fn id(uri: &str) -> Option<Uuid> {
    parse(uri).map(|(_, id)| id)
}

fn parse(uri: &str) -> Option<(SourceKind, Uuid)> {
    // The `url` field of an answer has this form.
    let (kind, id) = match uri.strip_prefix("pgrecall://") {
        Some(path) => path.split_once('/')?,
        None => uri.split_once("://")?,
    };
    Some((SourceKind::parse(kind)?, Uuid::parse_str(id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_kind_and_an_id() {
        let known = parse("memory://0190a5b0-0000-7000-8000-000000000000");
        assert!(known.is_some());
        assert_eq!(parse("pgrecall://memory/0190a5b0-0000-7000-8000-000000000000"), known);
        for odd in ["memory://", "memory:0190a5b0-0000-7000-8000-000000000000", "file:///etc/passwd", "poem://x", ""] {
            assert_eq!(parse(odd), None, "{odd}");
        }
        assert_eq!(templates()[0].uri_template, "memory://{id}");
    }
}
