//! The commands for single records: what a person does with the id that an answer shows.

mod edit;
mod forget;
mod labels;
mod list;
mod restore;
mod save;
mod show;

use jiff::Timestamp;
use pgrecall_postgres::db::Scope;
use pgrecall_record::{
    source::{RecordFields, SourceKind, Status},
    visible,
};
use pgrecall_server::tools::present::parse_id;
use pgrecall_store::{
    read::{self, Fetched},
    recall::{Hit, Superseded},
    versions::Version,
};
use serde::Serialize;
use serde_json::Value;
use shared::engine::Engine;
use uuid::Uuid;

use super::{
    failure::Failure,
    output::{self, faint, strong},
};

pub(super) use self::{
    edit::{Edit, run as edit},
    forget::{Forget, run as forget},
    labels::{Labels, collections, tags},
    list::{List, run as list},
    restore::run as restore,
    save::{Save, run as save},
    show::{Show, run as show},
};

/// A record as the commands print it.
#[derive(Debug, Serialize)]
struct Shown {
    id: Uuid,
    kind: SourceKind,
    #[serde(rename = "content")]
    text: String,
    #[serde(flatten, serialize_with = "RecordFields::non_empty")]
    fields: RecordFields,
    status: Status,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_verified: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<Uuid>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    supersedes: Vec<Superseded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
    /// Earlier states that `restore` brings back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    versions: Vec<Version>,
}

impl From<Hit> for Shown {
    fn from(hit: Hit) -> Self {
        Self {
            id: hit.id,
            kind: hit.kind,
            text: hit.text,
            fields: hit.fields,
            status: hit.status,
            created_at: hit.created_at,
            updated_at: hit.updated_at,
            last_verified: hit.last_verified,
            owner: hit.owner,
            changed_by: hit.changed_by,
            superseded_by: hit.superseded_by,
            supersedes: hit.supersedes,
            details: None,
            versions: Vec::new(),
        }
    }
}

impl Shown {
    /// Prints the record in a few lines, as one of a list.
    fn print(&self) -> Result<(), Failure> {
        self.preview().iter().try_for_each(|line| output::line(line))
    }

    /// Returns the first words of the record and its labels, followed by an empty line.
    fn preview(&self) -> Vec<String> {
        let title = &self.fields.title;
        let mut lines = if title.is_empty() {
            output::wrapped(&self.text, output::width(), 4)
        } else {
            let text = output::wrapped(&self.text, output::width() - INDENT, 2);
            let text = text.into_iter().map(|line| format!("{:INDENT$}{line}", ""));
            [strong(&output::shown(title))].into_iter().chain(text).collect()
        };
        let kind = (self.kind != SourceKind::Memory).then(|| self.kind.to_string());
        let status = (self.status != Status::Active).then(|| self.status.as_str().to_owned());
        let named = [kind, self.fields.dimension.clone(), status];
        let about = named.into_iter().flatten().chain(self.fields.tags.iter().map(|tag| format!("#{tag}")));
        let about = about.chain(self.owner.iter().map(|owner| format!("of {owner}")));
        let about: Vec<String> = about.chain([output::time(self.created_at), format!("id {}", self.id)]).collect();
        lines.push(format!("{:INDENT$}{}", "", faint(&visible::line(&about.join(" · ")))));
        lines.push(String::new());
        lines
    }
}

/// Indentation of what belongs to the line above.
const INDENT: usize = 4;

/// Parses a record's id, or its address, as clap needs it.
fn id(text: &str) -> Result<Uuid, String> {
    parse_id(text).map_err(|_| format!("`{text}` is not an id: take the one that `list`, `recall` or `search` shows"))
}

/// Reads a record that must exist.
async fn fetched(engine: &Engine, scope: &Scope, id: Uuid) -> Result<Fetched, Failure> {
    read::fetch(engine.db(), scope, id).await?.ok_or_else(|| Failure::Failed(anyhow::Error::msg(missing(&[id]))))
}

/// Reports ids that no record has.
fn missing(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("no record has the id {}: `mcp-server list` shows the newest; it may have been forgotten", ids.join(", "))
}
