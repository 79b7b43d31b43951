//! `export`: sources as JSON lines: those that the local user sees, or with `--all` those of a whole tenant.

use clap::Args;
use pgrecall_record::source::SourceKind;
use pgrecall_store::read::{self, Selection};

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
    /// The records of every owner, each with its owner: private ones and those of personas too. `import --all` gives them back to their owners.
    #[arg(long)]
    all: bool,
    /// With `--all`, the tenant; without it the local user's.
    #[arg(long, requires = "all", value_name = "NAME")]
    tenant: Option<String>,
}

pub(super) async fn run(context: &Context, export: Export) -> Result<(), Failure> {
    let selection = Selection { kinds: export.kinds, collection: export.collection };
    context
        .with_engine(Worker::None, async |engine, scope| {
            let tenant = export.tenant.as_deref().unwrap_or(&scope.tenant);
            let (mut after, mut written) = (0, 0);
            loop {
                let page = match export.all {
                    true => read::export_all(engine.db(), tenant, &selection, after, PAGE).await?,
                    false => read::export(engine.db(), scope, &selection, after, PAGE).await?,
                };
                let Some(last) = page.last() else { break };
                after = last.cursor;
                written += page.len();
                for exported in &page {
                    output::json(&exported.line)?;
                }
            }
            if !export.all {
                let all = read::count_all(engine.db(), tenant, &selection).await?;
                explain_rest(written, usize::try_from(all).unwrap_or_default());
            }
            Ok(())
        })
        .await
}

/// Says on stderr that there is more, if there is: an export that looks whole must not be taken for a backup.
fn explain_rest(written: usize, all: usize) {
    if written < all {
        eprintln!(
            "{written} of {all} records: the others belong to other users. `export --all` writes them all; `mcp-server backup` \
             keeps vectors, keys and history as well."
        );
    }
}
