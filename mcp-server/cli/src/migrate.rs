//! `migrate`: brings the schema up to date.

use serde_json::json;

use super::{
    context::{Context, Worker},
    failure::Failure,
};

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    // Opening the engine migrates the schema, so this command does nothing else.
    let probe = context.with_engine(Worker::None, async |engine, _| Ok(engine.probe().await?)).await?;
    let version = probe.schema_version.unwrap_or_default();
    context.print(&json!({"schema_version": version}), &format!("The schema is up to date: version {version}."))
}
