//! `list`: the newest memories or other records, without a question.

use clap::Args;
use pgrecall_record::source::{MAX_MEMORY_BYTES, SourceKind};
use pgrecall_server::tools::cursor;
use pgrecall_store::{recall::MAX_LIMIT, review};
use serde_json::json;

use super::{
    super::{
        ask::number,
        context::{Context, Worker},
        failure::Failure,
        narrow::{Memories, Narrow, kinds},
        output,
    },
    Shown,
};

/// Characters that are read of a record that is not a memory: a document may have 16 MB.
const MAX_CHARACTERS: i32 = 500;

/// The arguments of `list`.
#[derive(Debug, Args)]
pub(in super::super) struct List {
    /// A kind to list. Repeatable; without it, memories.
    #[arg(long = "kind", value_name = "KIND", value_parser = kinds())]
    kinds: Vec<SourceKind>,
    /// Number of records, 1 to 100.
    #[arg(long, default_value_t = 20, value_parser = |text: &str| number(text, 1..=MAX_LIMIT))]
    limit: usize,
    #[command(flatten)]
    narrow: Narrow,
    #[command(flatten)]
    memories: Memories,
    /// The cursor of the last list, for the next page.
    #[arg(long)]
    cursor: Option<String>,
}

pub(in super::super) async fn run(context: &Context, list: List) -> Result<(), Failure> {
    let List { kinds, limit, narrow, memories, cursor } = list;
    let kinds = if kinds.is_empty() { vec![SourceKind::Memory] } else { kinds };
    let characters = if kinds == [SourceKind::Memory] { MAX_MEMORY_BYTES as i32 } else { MAX_CHARACTERS };
    let filter = memories.narrow(narrow.filter(kinds)?);
    filter.check().map_err(|error| Failure::Misused(error.to_string()))?;
    let call = format!("list {filter:?}");
    let (records, next) = context
        .with_engine(Worker::None, async |engine, scope| {
            let after = cursor.map(|cursor| cursor::open(engine, scope, &call, &cursor)).transpose()?;
            let page = review::list(engine.db(), scope, &filter, after, limit, characters).await?;
            let next = page.next.map(|place| cursor::seal(engine, scope, &call, place));
            Ok((page.hits.into_iter().map(Shown::from).collect::<Vec<_>>(), next))
        })
        .await?;
    if context.json {
        return output::json(&json!({ "records": records, "count": records.len(), "cursor": next }));
    }
    records.iter().try_for_each(Shown::print)?;
    if records.is_empty() {
        output::line("Nothing found.")?;
    }
    if let Some(cursor) = next {
        eprintln!("There is more: --cursor {cursor}");
    }
    Ok(())
}
