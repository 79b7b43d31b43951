//! The home of a judged collection: a private Postgres in a temporary folder.

use std::path::PathBuf;

use pgrecall_config::{Config, Provider};
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::SourceKind;
use shared::engine::Engine;
use uuid::Uuid;

use super::super::{
    context::{Context, Worker, explain_wait},
    failure::Failure,
    ingest::{Problems, wait},
    progress,
};
use crate::eval::measures::Judged;
use pgrecall_ingest::{Event, Options, Tally};

/// A temporary folder, which is removed when it is dropped.
///
/// It must be dropped after the engine, which stops the Postgres in it.
pub(super) struct Home {
    pub(super) path: PathBuf,
    keep: bool,
}

impl Home {
    pub(super) fn new(keep: bool) -> Self {
        Self { path: std::env::temp_dir().join(format!("pgrecall-eval-{}", Uuid::new_v4().simple())), keep }
    }

    /// Returns the configuration with this home and the private Postgres in it.
    pub(super) fn config(&self, configured: &Config) -> Config {
        let mut config = configured.clone();
        config.database.dsn = None;
        config.database.session_dsn = None;
        config.paths.home.clone_from(&self.path);
        config
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.keep
            && self.path.exists()
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            eprintln!("{} could not be removed ({error}).", self.path.display());
        }
    }
}

/// Ingests the collection, and then embeds it. Returns the counts and the model.
///
/// No worker runs before everything is written: it would count the terms of a part, and the size of
/// that part would change the figures a little from run to run.
pub(super) async fn fill(context: &Context, judged: &Judged, kind: SourceKind) -> Result<(Tally, String), Failure> {
    let written = context.with_engine(Worker::None, async |engine, scope| {
        let tally = write(engine, scope, judged, kind).await?;
        Ok((tally, engine.embedder().model().to_string()))
    });
    let mut written = written.await?;
    let records = std::mem::take(&mut written.0.records);
    if context.config.memory.embedding.provider != Provider::Noop {
        let embedded = context.with_engine(Worker::Always, async |engine, scope| wait(engine, scope, records).await);
        if !explain_wait(&embedded.await?) {
            let why = "the collection is not embedded, so figures of a semantic ranking would mean nothing";
            return Err(Failure::Failed(anyhow::anyhow!(why)));
        }
    }
    Ok(written)
}

async fn write(engine: &Engine, scope: &Scope, judged: &Judged, kind: SourceKind) -> Result<Tally, Failure> {
    let options = Options { kind: Some(kind), ..Options::default() };
    let mut tally = Tally::default();
    let bar = progress::bytes(0, "reading");
    let mut problems = Problems::default();
    let paths = vec![judged.corpus.clone()];
    let report = |event: Event<'_>| match event {
        Event::Counted { bytes, .. } => bar.set_length(bytes),
        Event::Wrote { bytes, .. } => bar.set_position(bytes),
        Event::Finished => {}
        Event::Problem { place, problem } => problems.report(&bar, place, problem),
    };
    let written = pgrecall_ingest::ingest((engine, scope), paths, options, &mut tally, report, async |_| false).await;
    bar.finish_and_clear();
    problems.close();
    written?;
    Ok(tally)
}
