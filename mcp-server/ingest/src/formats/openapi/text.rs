//! The searchable text of an operation: its prose, and the names of its inputs and outputs.

use serde_json::{Map, Value};

use super::{Operation, fields};
use crate::formats::json;

/// First digit of the statuses whose fields are listed. Error responses look alike everywhere.
const ANSWERS: char = '2';

/// Makes the text of an operation from the operation and its resolved details.
pub(super) fn of(operation: &Operation<'_>, details: &Map<String, Value>) -> String {
    let mut sections = Vec::new();
    sections.extend(operation.text("summary"));
    sections.extend(operation.text("description"));
    if sections.is_empty() {
        sections.push(operation.text("operationId").unwrap_or_else(|| operation.name()));
    }
    sections.extend(section("Parameters", &parameters(details)));
    sections.extend(section("Request body", &request(details)));
    sections.extend(section("Responses", &responses(details)));
    sections.join("\n\n")
}

fn section(heading: &str, text: &str) -> Option<String> {
    let text = text.trim_end();
    (!text.is_empty()).then(|| format!("## {heading}\n\n{text}"))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    json::text(value.get(name)).unwrap_or_default()
}

fn parameters(details: &Map<String, Value>) -> String {
    let parameters = details.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let mut lines = String::new();
    for parameter in parameters.filter(|parameter| text(parameter, "in") != "body") {
        let schema = parameter.get("schema").unwrap_or(parameter);
        let required = if parameter.get("required") == Some(&Value::Bool(true)) { "required" } else { "" };
        let description = Some(text(parameter, "description")).filter(|text| !text.is_empty());
        let description = description.or(Some(text(schema, "description")));
        let parts = [text(parameter, "in"), &fields::type_of(schema), required];
        lines.push_str(&fields::line(text(parameter, "name"), &parts, description));
    }
    lines
}

/// Describes the request body, from OpenAPI 3's `requestBody` or Swagger 2's `body` parameter.
fn request(details: &Map<String, Value>) -> String {
    let parameters = details.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let of_swagger = parameters.into_iter().find(|parameter| text(parameter, "in") == "body");
    let body = details.get("requestBody").or(of_swagger);
    body.map_or_else(String::new, content)
}

fn responses(details: &Map<String, Value>) -> String {
    let mut lines = String::new();
    for (status, response) in details.get("responses").and_then(Value::as_object).into_iter().flatten() {
        lines.push_str(&format!("- {status}: {}\n", text(response, "description").replace('\n', " ")));
    }
    for (status, response) in details.get("responses").and_then(Value::as_object).into_iter().flatten() {
        if status.starts_with(ANSWERS) || status == "default" {
            let listed = fields::list(schema(response));
            if !listed.is_empty() {
                lines.push_str(&format!("\nFields of {status}:\n\n{listed}"));
            }
        }
    }
    lines
}

fn content(body: &Value) -> String {
    let description = text(body, "description");
    let listed = fields::list(schema(body));
    if description.is_empty() || listed.is_empty() {
        return format!("{description}{listed}");
    }
    format!("{description}\n\n{listed}")
}

/// Returns the schema of the first media type, which the others mostly repeat.
fn schema(body: &Value) -> &Value {
    let first = body.get("content").and_then(Value::as_object).and_then(|content| content.values().next());
    first.unwrap_or(body).get("schema").unwrap_or(&Value::Null)
}
