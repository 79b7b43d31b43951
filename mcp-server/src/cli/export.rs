//! `export`: every source as one JSON line, or those of some kinds or of a collection.

use clap::Args;
use shared::{read::Selection, source::SourceKind};

use super::{
    ask::kinds,
    context::{Context, Worker},
    failure::Failure,
    output,
};

/// Sources of one page: a page is one transaction, and is in memory whole.
const PAGE: i64 = 200;

/// What to write.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// A kind. Repeatable; without it all of them.
    #[arg(long = "kind", value_name = "KIND", value_parser = kinds())]
    kinds: Vec<SourceKind>,
    /// One collection only.
    #[arg(long)]
    collection: Option<String>,
}

pub(super) async fn run(context: &Context, export: Export) -> Result<(), Failure> {
    let selection = Selection { kinds: export.kinds, collection: export.collection };
    context
        .with_engine(Worker::None, async |engine, scope| {
            let mut after = None;
            loop {
                let page = engine.export(scope, &selection, after, PAGE).await?;
                let Some(last) = page.last() else { return Ok(()) };
                after = Some(last.cursor);
                for exported in &page {
                    output::json(&exported.line)?;
                }
            }
        })
        .await
}
