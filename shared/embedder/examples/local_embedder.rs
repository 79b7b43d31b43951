//! Runs the local embedder behind a pipe, for `scripts/bench`: texts in, the time to embed them
//! out.
//!
//! usage: local_embedder MODEL_FOLDER THREADS
//!
//! Each line of stdin is a command, `{"texts": PATH, "batch": 8, "vectors": PATH or null}`. The
//! program embeds the texts of a file (a JSON array of strings) in batches, in their order, and
//! answers `{"seconds": 1.25}`. With `vectors` it writes the vectors to that file as 32-bit floats,
//! one after the other. `scripts/benchmark/onnx_reference.py` answers the same commands with ONNX
//! Runtime.
#![expect(clippy::print_stdout, reason = "stdout is the answer")]

use std::{
    env, fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use pgrecall_embedder::{Embedder, LocalEmbedder, Prefixes, Purpose};

/// A command, one line of stdin.
#[derive(serde::Deserialize)]
struct Command {
    texts: PathBuf,
    batch: usize,
    vectors: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let [folder, threads] = env::args().skip(1).collect::<Vec<_>>().try_into().ok().context("MODEL_FOLDER THREADS")?;
    let embedder = LocalEmbedder::load(Path::new(&folder), Some(threads.parse()?), Prefixes::default())?;
    for line in io::stdin().lock().lines() {
        let command: Command = serde_json::from_str(&line?)?;
        let seconds = run(&embedder, &command)?;
        println!("{}", serde_json::json!({ "seconds": seconds }));
        io::stdout().flush()?;
    }
    Ok(())
}

fn run(embedder: &LocalEmbedder, command: &Command) -> anyhow::Result<f64> {
    let texts: Vec<String> = serde_json::from_slice(&fs::read(&command.texts)?)?;
    let deadline = Instant::now() + Duration::from_secs(600);
    let start = Instant::now();
    let mut vectors = Vec::with_capacity(texts.len());
    for batch in texts.chunks(command.batch.max(1)) {
        vectors.extend(embedder.embed(Purpose::Passage, batch, deadline)?);
    }
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = &command.vectors {
        let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
        fs::write(path, bytes)?;
    }
    Ok(seconds)
}
