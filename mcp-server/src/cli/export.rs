//! `export`: every source as one JSON line.

use super::{
    context::{Context, Worker},
    failure::Failure,
    output,
};

/// Sources of one page: a page is one transaction, and is in memory whole.
const PAGE: i64 = 200;

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    context
        .with_engine(Worker::None, async |engine, scope| {
            let mut after = None;
            loop {
                let page = engine.export(scope, after, PAGE).await?;
                let Some(last) = page.last() else { return Ok(()) };
                after = Some(last.cursor);
                for exported in &page {
                    output::json(&exported.line)?;
                }
            }
        })
        .await
}
