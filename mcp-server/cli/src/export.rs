//! `export`: prints sources as JSON lines.
//!
//! These are the sources that the local user sees or, with `--all`, those of a whole tenant.

use clap::Args;
use pgrecall_record::source::SourceKind;
use pgrecall_store::read::{self, Selection};

use super::{
    context::{Context, Worker},
    failure::Failure,
    help::EXPERT,
    narrow::kinds,
    output,
    program::named,
};

/// Sources of one page. A page is one transaction, and is held in memory.
const PAGE_RECORDS: i64 = 200;

/// The arguments of `export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// A kind to export. Repeatable; without it, all kinds.
    #[arg(long = "kind", value_name = "KIND", value_parser = kinds())]
    kinds: Vec<SourceKind>,
    /// Restricts the export to one collection.
    #[arg(long)]
    collection: Option<String>,
    /// Exports the records of every owner, each with its owner, including private ones and those of
    /// personas. `import --all` returns them to their owners.
    #[arg(long, help_heading = EXPERT)]
    all: bool,
    /// The tenant to export with `--all`. Without it, the local user's tenant.
    #[arg(long, requires = "all", value_name = "NAME", help_heading = EXPERT)]
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
                    true => read::export_all(engine.db(), tenant, &selection, after, PAGE_RECORDS).await?,
                    false => read::export(engine.db(), scope, &selection, after, PAGE_RECORDS).await?,
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

/// Reports on stderr that there are more records, because an incomplete export must not be taken
/// for a backup.
fn explain_rest(written: usize, all: usize) {
    if written < all {
        let text = format!(
            "{written} of {all} records: the others belong to other users. `export --all` writes them all; `mcp-server backup` \
             keeps vectors, keys and history as well."
        );
        eprintln!("{}", named(&text));
    }
}
