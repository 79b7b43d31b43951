//! `remember`: stores one memory from the command line.

use std::{
    io::{self, Read},
    time::Duration,
};

use clap::{Args, builder::TypedValueParser};
use pgrecall_record::source::{DIMENSIONS, MAX_MEMORY_BYTES, Stored, Visibility};
use serde_json::{Map, Value};

use super::{
    context::{Context, Worker, explain_wait},
    failure::Failure,
    help::EXPERT,
    narrow::{filter, one_of},
    output::{self, faint},
    program::named,
};
use pgrecall_ingest::STDIN;
use pgrecall_server::tools::{
    memory_remember::{self, Arguments},
    present::parse_id,
};

/// Time to wait for the vector. It is short because a person waits for the prompt.
pub(super) const EMBED_TIMEOUT: Duration = Duration::from_secs(5);

/// The arguments of `remember`.
#[derive(Debug, Args)]
pub(super) struct Remember {
    /// The memory: one self-contained fact, in quotes. `-` reads it from stdin.
    text: String,
    /// Your own name for the memory. A later memory with the same key replaces it, and its text is
    /// gone; --supersedes keeps the earlier memory.
    #[arg(long)]
    key: Option<String>,
    /// What the memory is about.
    #[arg(long, value_parser = DIMENSIONS)]
    dimension: Option<String>,
    /// A finer label than the dimension.
    #[arg(long, help_heading = EXPERT)]
    category: Option<String>,
    /// The person or thing that stated it.
    #[arg(long, help_heading = EXPERT)]
    source: Option<String>,
    /// A tag. Repeatable.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A URN of something that the memory is about, such as `urn:person:ana`. Repeatable.
    #[arg(long = "urn", value_name = "URN")]
    entity_urns: Vec<String>,
    /// Confidence in the memory, 0 to 1.
    #[arg(long, help_heading = EXPERT)]
    confidence: Option<f32>,
    /// When the memory began to be true: a date or a time. Without it, the memory counts as always
    /// true for --as-of.
    #[arg(long, value_name = "TIME", help_heading = EXPERT)]
    valid_from: Option<String>,
    /// When the memory stopped being true: a date or a time.
    #[arg(long, value_name = "TIME", help_heading = EXPERT)]
    valid_to: Option<String>,
    /// Id of a memory that is no longer true because of this one; it still answers for its own time.
    /// Repeatable.
    #[arg(long, value_name = "ID", help_heading = EXPERT)]
    supersedes: Vec<String>,
    /// Who sees the memory: only you, all who work as your persona, or the whole tenant.
    #[arg(long, default_value = "private", value_parser = visibilities())]
    visibility: Visibility,
    /// Free metadata to filter by: KEY=VALUE, or a JSON object.
    #[arg(long, value_name = "KEY=VALUE|JSON", value_parser = filter, default_value = "{}", help_heading = EXPERT)]
    metadata: Map<String, Value>,
}

pub(super) async fn run(context: &Context, remember: Remember) -> Result<(), Failure> {
    let record = Arguments {
        content: text(remember.text, MAX_MEMORY_BYTES)?,
        visibility: Some(remember.visibility),
        key: remember.key,
        dimension: remember.dimension,
        category: remember.category,
        source: remember.source,
        tags: remember.tags,
        entity_urns: remember.entity_urns,
        metadata: remember.metadata,
        supersedes: remember.supersedes,
        confidence: remember.confidence,
        valid_from: remember.valid_from,
        valid_to: remember.valid_to,
    }
    .record()?;
    let (mut answer, waited) = context
        .with_engine(Worker::Inside, async |engine, scope| {
            let answer = memory_remember::remember(engine, scope, record).await?;
            context.noting().inspect(|noting| noting.record(&answer.id));
            let waited = engine.wait_embedded(scope, vec![parse_id(&answer.id)?], |_| {}, Some(EMBED_TIMEOUT)).await?;
            Ok((answer, waited))
        })
        .await?;
    if waited.pending == 0 && waited.failed == 0 {
        answer.embedding = "done";
    }
    if context.json {
        return output::json(&answer);
    }
    let stored = match answer.stored {
        Stored::Created => "Remembered.",
        Stored::Replaced => "Remembered. The memory with this key or text was updated.",
        Stored::Unchanged => "This was remembered already.",
    };
    output::line(&format!("{stored} {}", faint(&format!("id {}", answer.id))))?;
    if !answer.redacted.is_empty() {
        eprintln!("Note: {}.", answer.redacted);
    }
    for near in &answer.similar {
        output::line(&format!(
            "Near-duplicate: {} {}",
            output::shown(&near.content),
            faint(&format!("id {}", near.id))
        ))?;
    }
    if !answer.similar.is_empty() {
        eprintln!("{}", named("`mcp-server forget ID` deletes the one that you do not need."));
    }
    explain_wait(&waited);
    Ok(())
}

/// Returns the text, from stdin if it is `-`.
///
/// Hardly more is read than the record may hold, which is `limit` bytes.
pub(super) fn text(given: String, limit: usize) -> Result<String, Failure> {
    if given != STDIN {
        return Ok(given);
    }
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Misused(format!("stdin cannot be read ({error})")))?;
    // A text that was cut within a character is too long, and is refused for that below.
    let whole = bytes.len() <= limit;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) if !whole => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        Err(_) => Err(Failure::Misused("the text on stdin is not UTF-8".to_owned())),
    }
}

pub(super) fn visibilities() -> impl TypedValueParser<Value = Visibility> {
    one_of([Visibility::Private, Visibility::Persona, Visibility::Tenant].map(Visibility::as_str))
}
