//! `tags` and `collections`: the names that filters can use.

use clap::Args;
use pgrecall_store::review::{self, Labelled};
use serde_json::json;

use super::super::{
    context::{Context, Worker},
    failure::Failure,
    output,
};

/// The arguments of `tags` and `collections`.
#[derive(Debug, Args)]
pub(in super::super) struct Labels {
    /// Lists only the names that begin with this.
    #[arg(default_value = "", hide_default_value = true, value_name = "BEGIN")]
    begin: String,
    /// Maximum number of names.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

pub(in super::super) async fn tags(context: &Context, labels: Labels) -> Result<(), Failure> {
    list(context, Labelled::Tag, "tags", labels).await
}

pub(in super::super) async fn collections(context: &Context, labels: Labels) -> Result<(), Failure> {
    list(context, Labelled::Collection, "collections", labels).await
}

async fn list(context: &Context, labelled: Labelled, what: &str, labels: Labels) -> Result<(), Failure> {
    let Labels { begin, limit } = labels;
    let mut counts = context
        .with_engine(Worker::None, async |engine, scope| {
            Ok(review::count_labels(engine.db(), scope, labelled, &begin, limit + 1).await?)
        })
        .await?;
    let more = counts.len() as i64 > limit;
    counts.truncate(limit as usize);
    if context.json {
        let values: Vec<_> =
            counts.iter().map(|counted| json!({ "name": counted.value, "records": counted.records })).collect();
        return output::json(&json!({ what: values, "count": values.len(), "more": more }));
    }
    for counted in &counts {
        output::line(&format!("{:>8}  {}", counted.records, output::shown(&counted.value)))?;
    }
    if counts.is_empty() {
        output::line(&format!("There are no {what}."))?;
    }
    if more {
        eprintln!("There are more: --limit lists them.");
    }
    Ok(())
}
