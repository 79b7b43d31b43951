//! `save`: stores a query, chart, prompt or document, as the tool does.

use clap::Args;
use pgrecall_record::source::{MAX_BODY_BYTES, SourceKind, Stored, Visibility};
use pgrecall_server::tools::{
    present::parse_id,
    save::{self, Arguments},
};
use serde_json::{Map, Value};

use super::super::{
    context::{Context, Worker, explain_wait},
    failure::Failure,
    help::EXPERT,
    narrow::{filter, object, one_of},
    output::{self, faint},
    program::named,
    remember::{EMBED_TIMEOUT, text, visibilities},
};

/// What `--kind` may name.
const KINDS: [SourceKind; 3] = [SourceKind::Asset, SourceKind::Prompt, SourceKind::Document];

/// The arguments of `save`.
#[derive(Debug, Args)]
pub(in super::super) struct Save {
    /// Its name.
    title: String,
    /// Its text. A prompt may have {placeholders}. `-` reads it from stdin.
    content: String,
    /// What it is: a query, chart or the like is an asset.
    #[arg(long, default_value = "asset", value_parser = one_of::<SourceKind>(KINDS.map(SourceKind::as_str)))]
    kind: SourceKind,
    /// A tag. Repeatable.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// The collection that it belongs to.
    #[arg(long, default_value = "", hide_default_value = true)]
    collection: String,
    /// The address that it came from.
    #[arg(long, help_heading = EXPERT)]
    url: Option<String>,
    /// Your own name for it, instead of its title. The same name replaces it.
    #[arg(long)]
    key: Option<String>,
    /// Who finds it: only you, all who work as your persona, or the whole tenant.
    #[arg(long, default_value = "tenant", value_parser = visibilities())]
    visibility: Visibility,
    /// Free metadata to filter by: KEY=VALUE, or a JSON object.
    #[arg(long, value_name = "KEY=VALUE|JSON", value_parser = filter, default_value = "{}", help_heading = EXPERT)]
    metadata: Map<String, Value>,
    /// Data that `show` prints and search ignores, as a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object, default_value = "{}", help_heading = EXPERT)]
    details: Map<String, Value>,
}

pub(in super::super) async fn run(context: &Context, save: Save) -> Result<(), Failure> {
    let arguments = Arguments {
        title: save.title,
        content: text(save.content, MAX_BODY_BYTES)?,
        kind: Some(save.kind.as_str().to_owned()),
        key: save.key,
        collection: save.collection,
        url: save.url,
        tags: save.tags,
        metadata: save.metadata,
        details: save.details,
        private: false,
        visibility: Some(save.visibility),
    };
    arguments.check(&context.config.caller.owner, context.config.memory.secrets)?;
    let (answer, waited) = context
        .with_engine(Worker::Inside, async |engine, scope| {
            let answer = save::save(engine, scope, arguments).await?;
            context.noting().inspect(|noting| noting.record(&answer.id));
            let waited = engine.wait_embedded(scope, vec![parse_id(&answer.id)?], |_| {}, Some(EMBED_TIMEOUT)).await?;
            Ok((answer, waited))
        })
        .await?;
    if context.json {
        return output::json(&answer);
    }
    let stored = match answer.stored {
        Stored::Created => "Saved.",
        Stored::Replaced => "Saved. The earlier text with this name was replaced.",
        Stored::Unchanged => "This was saved already.",
    };
    output::line(&format!("{stored} {}", faint(&format!("id {}", answer.id))))?;
    if let Some(version) = answer.replaced_version {
        let note = format!("Note: it replaced somebody else's text; `mcp-server restore {version}` brings that back.");
        eprintln!("{}", named(&note));
    }
    if !answer.redacted.is_empty() {
        eprintln!("Note: {}.", answer.redacted);
    }
    explain_wait(&waited);
    Ok(())
}
