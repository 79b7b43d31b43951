//! `edit`: changes a record's text in the person's editor.

use std::{
    fs::{self, OpenOptions},
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use pgrecall_record::source::{MAX_BODY_BYTES, SourceKind, Stored};
use pgrecall_store::{correct::Change, files};
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        context::{Context, Worker, explain_wait},
        failure::Failure,
        output::faint,
        remember::EMBED_TIMEOUT,
    },
    fetched, id, missing,
};

/// The editor if neither VISUAL nor EDITOR names one.
const DEFAULT_EDITOR: &str = "vi";

/// The arguments of `edit`.
#[derive(Debug, Args)]
pub(in super::super) struct Edit {
    /// Id of the record.
    #[arg(value_name = "ID", value_parser = id)]
    id: Uuid,
}

pub(in super::super) async fn run(context: &Context, edit: Edit) -> Result<(), Failure> {
    let id = edit.id;
    if context.config.editor.is_none() && !io::stdin().is_terminal() {
        let why = "stdin is no terminal, so no editor can be used: run `edit` in a terminal, or set EDITOR to a program that needs none";
        return Err(Failure::Misused(why.to_owned()));
    }
    let found = context.with_engine(Worker::None, async |engine, scope| {
        let found = fetched(engine, scope, id).await?;
        // The next run of `ingest` would replace the change, or leave record and file different.
        match files::path_of(engine.db(), scope, id).await? {
            None => Ok(found),
            Some(path) => Err(Failure::Misused(format!(
                "the record is the content of {path}: change that file, and run `mcp-server ingest` for it"
            ))),
        }
    });
    let found = found.await?;
    let before = found.hit.text;
    let draft = Draft::of(id, found.hit.kind, &before)?;
    // The database is closed while the person types: a private Postgres may stop, and upgrades are
    // not held up.
    let editor = context.config.editor.as_deref().unwrap_or(DEFAULT_EDITOR);
    let edited = context.until_stopped(async { draft.open_in(editor).await }).await;
    if edited.is_err() && draft.read().is_ok_and(|after| after == before) {
        draft.remove();
        return edited;
    }
    edited.inspect_err(|_| draft.say_kept())?;
    let after = draft.read().inspect_err(|_| draft.say_kept())?;
    if after.trim().is_empty() {
        draft.remove();
        let why = "the text is empty, so nothing was changed: `mcp-server forget` deletes a record";
        return Err(Failure::Misused(why.to_owned()));
    }
    if after.trim_end() == before.trim_end() {
        draft.remove();
        return context.print(&json!({ "id": id, "stored": "unchanged" }), "Nothing was changed.");
    }
    let written = context.with_engine(Worker::Inside, async |engine, scope| {
        if fetched(engine, scope, id).await?.hit.text != before {
            return Err(Failure::Failed(anyhow::Error::msg("somebody else has changed the record in the meantime")));
        }
        let change = Change { body: Some(after), ..Change::default() };
        let updated = engine.update(scope, id, change).await?;
        context.noting().inspect(|noting| noting.record(&id.to_string()));
        let updated = updated.ok_or_else(|| failed(missing(&[id])))?;
        let receipt = updated.map_err(|refused| Failure::Misused(refused.to_string()))?;
        Ok((receipt, engine.wait_embedded(scope, vec![id], |_| {}, Some(EMBED_TIMEOUT)).await?))
    });
    let (receipt, waited) = written.await.inspect_err(|_| draft.say_kept())?;
    draft.remove();
    if !receipt.redacted.is_empty() {
        eprintln!("Note: {} redacted, and not stored.", receipt.redacted);
    }
    let said = if receipt.stored == Stored::Unchanged { "Nothing was changed." } else { "Changed." };
    let said = format!("{said} {}", faint(&format!("id {id}")));
    explain_wait(&waited);
    context.print(&json!({ "id": id, "stored": receipt.stored }), &said)
}

/// The file that the editor opens.
struct Draft(PathBuf);

impl Draft {
    /// Writes the text to a new file that only the person can read.
    fn of(id: Uuid, kind: SourceKind, text: &str) -> Result<Self, Failure> {
        // The random part keeps another user from placing a file there first.
        let name = format!("pgrecall-{kind}-{id}-{}.md", Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| failed(format!("{} cannot be written ({error})", path.display())))?;
        Ok(Self(path))
    }

    /// Waits until the editor ends. The shell starts it, because EDITOR may hold options.
    async fn open_in(&self, editor: &str) -> Result<(), Failure> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&self.0);
        let ended = tokio::task::spawn_blocking(move || command.status()).await;
        match ended.map_err(io::Error::other).flatten() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(format!(
                "the editor `{editor}` failed ({status}), so nothing was changed: set VISUAL or EDITOR to your editor"
            ))),
            Err(error) => Err(failed(format!("the editor `{editor}` cannot be started ({error})"))),
        }
    }

    fn read(&self) -> Result<String, Failure> {
        let path: &Path = &self.0;
        let shown = path.display();
        let length = fs::metadata(path).map_err(|error| failed(format!("{shown} cannot be read ({error})")))?.len();
        if length > MAX_BODY_BYTES as u64 {
            return Err(Failure::Misused(format!("the text has {length} bytes; the limit is {MAX_BODY_BYTES}")));
        }
        fs::read_to_string(path).map_err(|error| failed(format!("{shown} cannot be read ({error})")))
    }

    fn say_kept(&self) {
        eprintln!("Your text is in {}.", self.0.display());
    }

    fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("{} could not be removed ({error}).", self.0.display());
        }
    }
}

fn failed(sentence: String) -> Failure {
    Failure::Failed(anyhow::Error::msg(sentence))
}
