//! Completions: tags, collections and kinds, for whoever types an argument of a prompt.

use pgrecall_postgres::db::Scope;
use pgrecall_record::{source::SourceKind, visible};
use pgrecall_store::review::{self, Labelled};
use rmcp::model::CompletionInfo;
use shared::engine::Engine;

use crate::tools::ToolError;

/// What an argument of this name may be that begins so. Nothing for one that only its writer knows.
pub(crate) async fn values(
    engine: Option<&Engine>,
    scope: &Scope,
    argument: &str,
    begin: &str,
) -> Result<CompletionInfo, ToolError> {
    let labelled = match argument {
        "tag" => Some(Labelled::Tag),
        "collection" => Some(Labelled::Collection),
        _ => None,
    };
    let values = match (labelled, engine) {
        (Some(labelled), Some(engine)) => {
            let mut values = review::suggest(engine.db(), scope, labelled, begin).await?;
            // A label is put into a prompt as it is, and must be all that its reader sees.
            values.retain(|value| !visible::hides_something(value));
            values
        }
        (None, _) if argument == "kind" => SourceKind::ALL
            .iter()
            .map(|kind| kind.as_str())
            .filter(|kind| kind.starts_with(begin))
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    Ok(CompletionInfo::with_all_values(values).unwrap_or_default())
}
