//! Resources: a text, a picture, one that can be subscribed to, and a template.

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde_json::json;

use crate::tools::PICTURE;

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const WATCHED: &str = "test://watched-resource";

pub(crate) fn all() -> Vec<Resource> {
    let resource = |uri, name, description: &str, kind| {
        Resource::new(uri, name).with_description(description).with_mime_type(kind)
    };
    vec![
        resource(TEXT, "static-text", "A text that never changes", "text/plain"),
        resource(BINARY, "static-binary", "A picture of one red pixel", "image/png"),
        resource(WATCHED, "watched-resource", "A text that can be subscribed to", "text/plain"),
    ]
}

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = ResourceTemplate::new("test://template/{id}/data", "template-data");
    vec![template.with_description("Data by its number").with_mime_type("application/json")]
}

pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
    let contents = match (uri, id.filter(|id| !id.is_empty() && !id.contains('/'))) {
        (TEXT, _) => ResourceContents::text("This is the content of the static text resource.", uri),
        (BINARY, _) => ResourceContents::blob(PICTURE, uri).with_mime_type("image/png"),
        (WATCHED, _) => ResourceContents::text("This is the content of the watched resource.", uri),
        (_, Some(id)) => {
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            ResourceContents::text(data.to_string(), uri).with_mime_type("application/json")
        }
        (_, None) => {
            return Err(ErrorData::resource_not_found("there is no such resource", Some(json!({"uri": uri}))));
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}
