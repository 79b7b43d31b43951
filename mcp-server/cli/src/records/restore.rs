//! `restore ID…`: brings back records that were forgotten, archived, disputed or replaced.

use serde_json::json;
use uuid::Uuid;

use super::super::{
    context::{Context, Worker, explain_wait},
    failure::Failure,
    ingest::counted,
    output,
    remember::EMBED_TIMEOUT,
};

pub(in super::super) async fn run(context: &Context, ids: Vec<Uuid>) -> Result<(), Failure> {
    let (restored, waited) = context
        .with_engine(Worker::Inside, async |engine, scope| {
            let restored = engine.restore(scope, &ids).await?;
            restored.restored.iter().for_each(|id| {
                context.noting().inspect(|noting| noting.record(&id.to_string()));
            });
            let waited = engine.wait_embedded(scope, restored.restored.clone(), |_| {}, Some(EMBED_TIMEOUT)).await?;
            Ok((restored, waited))
        })
        .await?;
    if context.json {
        output::json(&json!({ "restored": restored.restored, "key_taken": restored.key_taken,
            "not_found": restored.not_found }))?;
    } else {
        output::line(&format!("{} restored.", counted(restored.restored.len() as u64, "record")))?;
    }
    explain_wait(&waited);
    let listed = |ids: &[Uuid]| ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ");
    let mut problems = Vec::new();
    if !restored.key_taken.is_empty() {
        problems.push(format!("the keys of these belong to other records now: {}", listed(&restored.key_taken)));
    }
    if !restored.not_found.is_empty() {
        problems.push(format!("nothing is kept of these: {}", listed(&restored.not_found)));
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failure::Failed(anyhow::Error::msg(problems.join("; ")))),
    }
}
