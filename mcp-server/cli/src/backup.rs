//! `backup`: writes the database to one file, or opens the private database to Postgres' own tools.

use std::path::{Path, PathBuf};

use clap::Args;
use pgrecall_postgres::dsn::Dsn;
use pgrecall_runtime::{
    Runtime,
    backup::{self, BackupError, Rows, Written},
    embedded::{self, Embedded},
};
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::{context::Context, failure::Failure, help::EXPERT, ingest::counted, output};

/// The arguments of `backup`.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write. It gets this name after it was read back and compared with the database.
    #[arg(value_name = "FILE", required_unless_present = "print_dsn", conflicts_with = "print_dsn")]
    file: Option<PathBuf>,
    /// Prints the connection string for psql and pg_dump, and keeps the private database running
    /// until standard input ends.
    #[arg(long, help_heading = EXPERT)]
    print_dsn: bool,
    /// Folder of pg_dump and pg_restore. Without it, the programs that setup fetched are used.
    #[arg(long, value_name = "FOLDER", help_heading = EXPERT)]
    bin: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, backup: Backup) -> Result<(), Failure> {
    let Some(file) = &backup.file else { return print_dsn(context).await };
    let work = async |say: &dyn Fn(&str)| {
        say("writing the backup, and reading it back");
        write(context, file, backup.bin.as_deref()).await
    };
    let replaces = file.exists();
    let written = context.with_steps(work).await?;
    context.print(
        &json!({"file": file, "bytes": written.bytes, "rows": written.rows}),
        &format!(
            "{} are in {} ({:.1} MB), which was read back and compared with the database.{}",
            summary(&written.rows),
            file.display(),
            written.bytes as f64 / 1e6,
            if replaces { " The backup that was there was replaced." } else { "" }
        ),
    )
}

/// Writes the file.
///
/// A private database is joined but not migrated, because a backup is needed most when something is
/// wrong.
async fn write(context: &Context, file: &Path, asked: Option<&Path>) -> Result<Written, Failure> {
    let runtime = Runtime::at(&context.config.paths.runtime);
    let dump = async |dsn: &Dsn| {
        let bin = backup::programs_for(&runtime, asked, backup::server_major(dsn).await?)?;
        backup::dump(dsn, &bin, file).await
    };
    if let Some(dsn) = session_dsn(context)? {
        return Ok(dump(&dsn).await?);
    }
    let embedded = join(context, &runtime).await?;
    let written = dump(embedded.address()).await;
    embedded.leave().await;
    Ok(written?)
}

/// Prints the connection string, and keeps the private Postgres running until standard input ends.
async fn print_dsn(context: &Context) -> Result<(), Failure> {
    if session_dsn(context)?.is_some() {
        return Err(Failure::Misused(
            "the database is a configured one: `database.dsn` says how to connect to it".to_owned(),
        ));
    }
    let runtime = Runtime::at(&context.config.paths.runtime);
    let embedded = join(context, &runtime).await?;
    let held = async {
        let bin = backup::programs_for(&runtime, None, backup::server_major(embedded.address()).await?)?;
        if context.json {
            output::json(&json!({"dsn": embedded.dsn(), "bin": bin}))?;
        } else {
            output::line(embedded.dsn())?;
        }
        eprintln!(
            "The private Postgres runs until this command ends: at the end of its standard input (Ctrl-D), or with Ctrl-C. Its \
             programs are in {}. For example: {}/pg_dump --dbname=\"{}\" --format=custom --file=FILE",
            bin.display(),
            bin.display(),
            embedded.dsn()
        );
        let (mut stdin, mut bytes) = (tokio::io::stdin(), [0; 4096]);
        while stdin.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        Ok(())
    };
    let held = context.shutdown.run_until_cancelled(held).await.unwrap_or(Ok(()));
    embedded.leave().await;
    held
}

async fn join(context: &Context, runtime: &Runtime) -> Result<Embedded, Failure> {
    let home = &context.config.paths.home;
    if embedded::data_version(home).is_none() && !home.join("postgres").exists() {
        return Err(BackupError::NoDatabase(home.clone()).into());
    }
    Ok(Embedded::join(home, runtime).await.map_err(BackupError::from)?)
}

/// Returns the DSN of the configured database, if there is one.
///
/// The session DSN comes first, because the connection must be a session of its own.
pub(super) fn session_dsn(context: &Context) -> Result<Option<Dsn>, Failure> {
    let database = &context.config.database;
    let dsn = database.session_dsn.as_ref().or(database.dsn.as_ref());
    Ok(dsn.map(|dsn| Dsn::parse(dsn)).transpose().map_err(BackupError::from)?)
}

/// Summarizes the counts that a person asks about.
pub(super) fn summary(rows: &Rows) -> String {
    let count = |table: &str| rows.get(table).copied().unwrap_or_default();
    let vectors: u64 =
        rows.iter().filter(|(table, _)| table.starts_with("pgrecall.vectors_")).map(|(_, rows)| rows).sum();
    format!(
        "{}, {} and {}",
        counted(count("pgrecall.sources"), "record"),
        counted(vectors, "vector"),
        counted(count("pgrecall.api_keys"), "API key")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_adds_up_the_vectors_of_all_spaces() {
        let rows = [("pgrecall.sources", 1), ("pgrecall.vectors_1", 2), ("pgrecall.vectors_2", 3)];
        let rows = rows.map(|(table, rows)| (table.to_owned(), rows)).into();
        assert_eq!(summary(&rows), "1 record, 5 vectors and 0 API keys");
    }
}
