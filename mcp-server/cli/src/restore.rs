//! `restore`: creates a database from a file that `backup` wrote, or brings back single records.
//!
//! One word serves both (decision 39): a target with the form of an id is a record, unless a file
//! has that name.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;
use pgrecall_runtime::{
    Runtime,
    backup::{self, Restored, private},
};
use uuid::Uuid;

use super::{
    backup::{session_dsn, summary},
    context::Context,
    failure::Failure,
    help::EXPERT,
    output,
    program::named,
    records,
};
use pgrecall_server::tools::present::parse_id;

/// The arguments of `restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup file, or the ids of records that were forgotten, archived or replaced. A file
    /// runs as SQL with the rights of a superuser, so restore only files that you trust.
    #[arg(required = true, value_name = "FILE|ID")]
    targets: Vec<PathBuf>,
    /// Replaces a private database that holds records. The old one is kept in a folder of its own.
    #[arg(long)]
    replace: bool,
    /// Keeps the API keys in the file usable. Without it, those of another installation are
    /// revoked.
    #[arg(long, help_heading = EXPERT)]
    keep_keys: bool,
    /// Folder of pg_restore, for a configured database. Without it, the programs that setup fetched
    /// are used.
    #[arg(long, value_name = "FOLDER", help_heading = EXPERT)]
    bin: Option<PathBuf>,
}

/// The first bytes of a file that `backup` wrote: an archive of pg_dump in its custom format.
const MAGIC: &[u8; 5] = b"PGDMP";

/// What to restore.
#[derive(Debug, PartialEq)]
enum Target {
    File(PathBuf),
    Records(Vec<Uuid>),
}

impl Restore {
    fn target(&self) -> Result<Target, Failure> {
        let ids: Option<Vec<Uuid>> = self.targets.iter().map(|target| parse_id(target.to_str()?).ok()).collect();
        match (ids, self.targets.as_slice()) {
            (Some(_), [file]) if file.exists() => Ok(Target::File(file.clone())),
            (Some(_), _) if self.replace || self.keep_keys || self.bin.is_some() => Err(Failure::Misused(
                "--replace, --keep-keys and --bin are for a backup file, and these are ids of records".to_owned(),
            )),
            (Some(ids), _) => Ok(Target::Records(ids)),
            (None, [file]) => Ok(Target::File(file.clone())),
            (None, _) => Err(Failure::Misused("give one backup file, or the ids of records".to_owned())),
        }
    }
}

pub(super) async fn run(context: &Context, restore: Restore) -> Result<(), Failure> {
    let file = match restore.target()? {
        Target::Records(ids) => return records::restore(context, ids).await,
        Target::File(file) => file,
    };
    check(&file)?;
    let restored = context.with_steps(async |say| fill(context, &restore, &file, say).await).await?;
    if context.json {
        return output::json(&restored);
    }
    for line in report(&restored) {
        output::line(&named(&line))?;
    }
    Ok(())
}

/// Refuses a file that is no backup.
fn check(file: &Path) -> Result<(), Failure> {
    let mut first = [0; MAGIC.len()];
    let read = std::fs::File::open(file).and_then(|mut file| file.read(&mut first));
    let read = read.map_err(|error| {
        Failure::Misused(format!("{} cannot be read ({error}); nothing was restored", file.display()))
    })?;
    if first[..read] == *MAGIC {
        return Ok(());
    }
    let instead = if first[0] == b'{' { ": `mcp-server import` reads the output of `export`" } else { "" };
    Err(Failure::Misused(format!("{} was not written by `backup`, so nothing was restored{instead}", file.display())))
}

async fn fill(context: &Context, restore: &Restore, file: &Path, progress: impl Fn(&str)) -> Result<Restored, Failure> {
    let runtime = Runtime::at(&context.config.paths.runtime);
    let Some(dsn) = session_dsn(context)? else {
        if restore.bin.is_some() {
            return Err(Failure::Misused(
                "--bin is for a configured database; the private one has its own programs".to_owned(),
            ));
        }
        let options = private::Options { replace: restore.replace, keep_keys: restore.keep_keys };
        let home = &context.config.paths.home;
        return Ok(private::restore(home, &runtime, file, options, progress).await?);
    };
    if restore.replace {
        return Err(Failure::Misused(
            "--replace is for the private database: make an empty database, name it in `database.dsn`, and restore into it".to_owned(),
        ));
    }
    progress("restoring");
    let bin = backup::programs_for(&runtime, restore.bin.as_deref(), backup::server_major(&dsn).await?)?;
    Ok(backup::restore(&dsn, &bin, file, restore.keep_keys).await?)
}

fn report(restored: &Restored) -> Vec<String> {
    let mut lines = vec![format!("{} were restored.", summary(&restored.rows))];
    for space in &restored.spaces {
        let dimension =
            space.dimension.map_or("no vectors yet".to_owned(), |dimension| format!("{dimension} dimensions"));
        lines.push(format!("Embedding space: {}, {dimension}, {}.", space.model, space.state));
    }
    if !restored.keys.is_empty() {
        let names = restored.keys.join(", ");
        lines.push(if restored.keys_kept {
            format!("These API keys are usable: {names}.")
        } else {
            format!(
                "These API keys are revoked, because they were given out by another installation: {names}. `--keep-keys` keeps \
                 them; `mcp-server keys create` makes new ones."
            )
        });
    }
    if !restored.ended_keys.is_empty() {
        lines.push(format!(
            "These API keys stay revoked or expired, as they were in the database that was replaced: {}.",
            restored.ended_keys.join(", ")
        ));
    }
    if let Some(kept) = &restored.kept {
        lines.push(format!(
            "The database that was there is in {}: remove that folder when you no longer need it.",
            kept.display()
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgrecall_runtime::backup::RestoredSpace;

    #[test]
    fn a_target_is_a_record_if_it_looks_like_an_id_and_no_file_has_that_name() {
        let id = Uuid::now_v7();
        let restore = |targets: &[&str], replace| {
            let targets = targets.iter().map(PathBuf::from).collect();
            Restore { targets, replace, keep_keys: false, bin: None }.target().map_err(|_| ())
        };
        let text = id.to_string();
        assert_eq!(restore(&[&text], false), Ok(Target::Records(vec![id])));
        assert_eq!(restore(&[&format!("memory://{id}"), &text], false), Ok(Target::Records(vec![id, id])));
        assert_eq!(restore(&["b.pgrecall"], true), Ok(Target::File("b.pgrecall".into())));
        assert_eq!(restore(&["b.pgrecall", &text], false), Err(()));
        assert_eq!(restore(&[&text], true), Err(()));
        let file = std::env::temp_dir().join(&text);
        std::fs::write(&file, "").unwrap();
        let path = file.to_str().unwrap();
        assert_eq!(restore(&[path], true), Ok(Target::File(file.clone())));
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn the_report_names_spaces_keys_and_what_was_kept() {
        let space = RestoredSpace { model: "local/m".into(), dimension: Some(384), state: "active".into() };
        let mut restored = Restored {
            rows: [("pgrecall.sources".to_owned(), 2)].into(),
            spaces: vec![space],
            keys: vec!["ana".into()],
            ended_keys: vec!["bo".into()],
            keys_kept: false,
            kept: Some("/h/postgres.old".into()),
        };
        let lines = report(&restored).join("\n");
        for part in
            ["2 records", "local/m, 384 dimensions, active", "revoked", "ana", "replaced: bo", "/h/postgres.old"]
        {
            assert!(lines.contains(part), "{lines}");
        }
        restored.keys_kept = true;
        assert!(report(&restored).join("\n").contains("These API keys are usable: ana."));
    }
}
