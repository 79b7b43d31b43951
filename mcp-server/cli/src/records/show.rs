//! `show`: whole records, with all their fields.

use clap::Args;
use pgrecall_record::source::Status;
use pgrecall_store::{read, versions};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::{
        context::{Context, Worker},
        failure::Failure,
        output::{self, faint, strong},
    },
    Shown, id, missing,
};

/// The arguments of `show`.
#[derive(Debug, Args)]
pub(in super::super) struct Show {
    /// Ids of the records.
    #[arg(required = true, value_name = "ID", value_parser = id)]
    ids: Vec<Uuid>,
}

pub(in super::super) async fn run(context: &Context, show: Show) -> Result<(), Failure> {
    let (records, not_found) = context
        .with_engine(Worker::None, async |engine, scope| {
            let (mut records, mut not_found) = (Vec::new(), Vec::new());
            let mut versions = versions::list(engine.db(), scope, &show.ids, engine.keeps_forgotten()).await?;
            for id in &show.ids {
                let Some(found) = read::fetch(engine.db(), scope, *id).await? else {
                    not_found.push(*id);
                    continue;
                };
                let of = versions.extract_if(.., |version| version.of == *id).collect();
                records.push(Shown { details: found.details, versions: of, ..Shown::from(found.hit) });
            }
            Ok((records, not_found))
        })
        .await?;
    if context.json {
        output::json(&json!({ "records": records, "count": records.len(), "not_found": not_found }))?;
    } else {
        for (number, record) in records.iter().enumerate() {
            if number > 0 {
                output::line("")?;
            }
            print(record)?;
        }
    }
    if not_found.is_empty() { Ok(()) } else { Err(Failure::Failed(anyhow::Error::msg(missing(&not_found)))) }
}

fn print(record: &Shown) -> Result<(), Failure> {
    if !record.fields.title.is_empty() {
        output::line(&strong(&output::shown(&record.fields.title)))?;
    }
    for (name, value) in fields(record) {
        output::line(&format!("{} {}", faint(&format!("{name:<14}")), output::shown(&value)))?;
    }
    output::line("")?;
    output::line(&output::shown(record.text.trim_end()))?;
    if let Some(details) = &record.details {
        let details = serde_json::to_string_pretty(details).expect("details have text keys only");
        output::line(&format!("\n{}", output::shown(&details)))?;
    }
    for version in &record.versions {
        let (by, at) = (&version.replaced_by, output::time(version.replaced_at));
        output::line(&format!("\n{}", faint(&output::shown(&format!("replaced by {by} at {at}, id {}", version.id)))))?;
        output::line(&output::shown(&version.content))?;
    }
    Ok(())
}

/// Returns the fields that are set, except for the title and the text.
fn fields(record: &Shown) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        vec![("id".to_owned(), record.id.to_string()), ("kind".to_owned(), record.kind.to_string())];
    let mut add = |name: &str, value: Option<String>| all.extend(value.map(|value| (name.to_owned(), value)));
    add("status", (record.status != Status::Active).then(|| record.status.as_str().to_owned()));
    add("owner", record.owner.clone());
    add("changed by", record.changed_by.clone());
    add("written", Some(output::time(record.created_at)));
    add("changed", (record.updated_at != record.created_at).then(|| output::time(record.updated_at)));
    add("verified", record.last_verified.map(output::time));
    add("valid from", record.fields.valid_from.map(output::time));
    add("valid to", record.fields.valid_to.map(output::time));
    add("superseded by", record.superseded_by.map(|id| id.to_string()));
    for earlier in &record.supersedes {
        add("supersedes", Some(format!("{} {}", earlier.id, output::wrapped(&earlier.content, 60, 1).join(" "))));
    }
    // The other fields under the names that export and filters use.
    let rest = serde_json::to_value(&record.fields).expect("fields have text keys only");
    for (name, value) in rest.as_object().into_iter().flatten() {
        if !["title", "valid_from", "valid_to"].contains(&name.as_str()) {
            add(name, plain(value));
        }
    }
    all
}

/// Formats a field for a person; `None` if it is not set.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(plain).collect();
            (!items.is_empty()).then(|| items.join(", "))
        }
        Value::Object(object) => (!object.is_empty()).then(|| value.to_string()),
        scalar => Some(scalar.to_string()),
    }
}
