//! Completions of a prompt's arguments: tags, collections and kinds.

use pgrecall_postgres::db::Scope;
use pgrecall_record::{source::SourceKind, visible};
use pgrecall_store::review::{self, Labelled};
use rmcp::model::CompletionInfo;
use shared::engine::Engine;

use crate::tools::ToolError;

/// Returns the values of an argument that begin with `begin`.
///
/// Other arguments have no completions, because only the prompt's author knows their values.
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
            // The host puts a label into a prompt unchanged, so it must not contain hidden
            // characters.
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
