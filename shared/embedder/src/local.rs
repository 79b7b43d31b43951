//! The provider `local`: all-MiniLM-L6-v2 inside this process, in pure Rust.
//!
//! A batch runs on lanes of one thread each. Texts of similar length run together, so that no time
//! goes into padding or into threads that wait for each other. A single text cannot be divided, so
//! all threads work on it together. The graph includes the pooling and the normalization: token ids
//! in, a sentence's vector out.

mod cores;
mod pack;

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use tokenizers::Tokenizer;

use super::{EmbedError, Embedder, ModelId, Prefixes, Provider, Purpose, tokens};

/// The model that setup downloads.
const NAME: &str = "all-MiniLM-L6-v2";
/// The window in tokens for which the model was tuned. It takes twice as many tokens, but
/// represents the second half poorly.
const TUNED_WINDOW: usize = 256;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The local model. It is loaded once and shared; concurrent calls are allowed.
#[derive(Debug)]
pub struct LocalEmbedder {
    model: ModelId,
    tokenizer: Tokenizer,
    graph: Graph,
    /// The longest text that the model has positions for, in tokens.
    positions: usize,
    lanes: Vec<Arc<ThreadPool>>,
    all_threads: Arc<ThreadPool>,
}

#[derive(Debug)]
struct Graph {
    model: Model,
    input_ids: NodeId,
    attention_mask: NodeId,
    sentence_embedding: NodeId,
}

impl LocalEmbedder {
    /// Loads `model.onnx`, `tokenizer.json` and `config.json` from `model_dir`.
    ///
    /// `threads` is the number of CPU threads; `None` takes one for each physical core.
    ///
    /// # Errors
    /// [`EmbedError::ModelFiles`] for a file that is missing or broken.
    pub fn load(model_dir: &Path, threads: Option<usize>, prefixes: Prefixes) -> Result<Self, EmbedError> {
        let config = model_dir.join("config.json");
        let positions = read_positions(&config).map_err(|source| EmbedError::ModelFiles { path: config, source })?;
        let path = model_dir.join("tokenizer.json");
        let tokenizer = read_tokenizer(&path).map_err(|source| EmbedError::ModelFiles { path, source })?;
        let path = model_dir.join("model.onnx");
        let graph = Graph::read(&path).map_err(|source| EmbedError::ModelFiles { path, source })?;
        let threads = threads.unwrap_or_else(cores::physical).max(1);
        let pool = |threads| Arc::new(ThreadPool::with_num_threads(threads));
        Ok(Self {
            model: prefixes.apply(ModelId::new(Provider::Local, None, NAME)),
            tokenizer,
            graph,
            positions,
            lanes: (0..threads).map(|_| pool(1)).collect(),
            all_threads: pool(threads),
        })
    }

    fn tokenize(&self, text: &str) -> Result<Vec<u32>, BoxError> {
        Ok(self.tokenizer.encode_fast(text, true)?.get_ids().to_vec())
    }

    /// Tokenizes all texts. The error names the first text that is too long.
    fn tokenize_all(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, EmbedError> {
        let inference = |source| EmbedError::Inference { texts: texts.len(), source };
        let one = |(index, text): (usize, &String)| {
            let ids = self.tokenize(text).map_err(inference)?;
            let (tokens, limit) = (ids.len(), self.positions);
            if tokens > limit { Err(EmbedError::TooLong { index, tokens, limit }) } else { Ok(ids) }
        };
        texts.iter().enumerate().map(one).collect()
    }

    /// Embeds texts on the lanes: each takes the next batch until none is left.
    ///
    /// The longest batches run first, so that all lanes end at about the same time.
    fn run_on_lanes(&self, texts: &[Vec<u32>], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let start = Instant::now();
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let batches = pack::pack(&lengths, self.lanes.len());
        let next = AtomicUsize::new(0);
        let work = |pool: &Arc<ThreadPool>| {
            let mut done = Vec::new();
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                if Instant::now() >= deadline {
                    return Err(EmbedError::Timeout { embedder: self.model.to_string(), waited: start.elapsed() });
                }
                let rows: Vec<&[u32]> = batch.iter().map(|&text| texts[text].as_slice()).collect();
                let vectors = self.run(&rows, pool)?;
                done.extend(batch.iter().copied().zip(vectors));
            }
            Ok(done)
        };
        let mut vectors = vec![Vec::new(); texts.len()];
        thread::scope(|scope| {
            // The calling thread is the first lane. If the system gives a lane no thread, the other
            // lanes do its share.
            let work = &work;
            let named = || thread::Builder::new().name("embed-lane".to_owned());
            let lane = |pool| named().spawn_scoped(scope, move || work(pool)).ok();
            let others: Vec<_> = self.lanes[1..].iter().filter_map(lane).collect();
            let first = work(&self.lanes[0]);
            let joined =
                others.into_iter().map(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            for done in std::iter::once(first).chain(joined) {
                for (text, vector) in done? {
                    vectors[text] = vector;
                }
            }
            Ok(vectors)
        })
    }

    fn run(&self, rows: &[&[u32]], pool: &Arc<ThreadPool>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let failed = |source: BoxError| EmbedError::Inference { texts: rows.len(), source };
        self.graph.run(rows, pool).map_err(failed)
    }
}

impl Embedder for LocalEmbedder {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&self, purpose: Purpose, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts = self.tokenize_all(&self.model.prefixed(purpose, texts))?;
        match texts.as_slice() {
            [only] => self.run(&[only], &self.all_threads),
            _ => self.run_on_lanes(&texts, deadline),
        }
    }

    fn max_tokens(&self) -> usize {
        TUNED_WINDOW.min(self.positions)
    }

    fn count_tokens(&self, text: &str) -> usize {
        let text = format!("{}{text}", self.model.document_prefix);
        self.tokenize(&text).map_or_else(|_| tokens::estimate(&text), |ids| ids.len())
    }
}

impl Graph {
    fn read(path: &Path) -> Result<Self, BoxError> {
        // Packed weights take 42 MB more memory; they make a batch 7 % and a single text 30 %
        // faster.
        let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(path)?;
        Ok(Self {
            input_ids: model.node_id("input_ids")?,
            attention_mask: model.node_id("attention_mask")?,
            sentence_embedding: model.node_id("sentence_embedding")?,
            model,
        })
    }

    /// Runs the graph once over `rows`, padded to the longest of them.
    fn run(&self, rows: &[&[u32]], pool: &Arc<ThreadPool>) -> Result<Vec<Vec<f32>>, BoxError> {
        let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let mut ids = vec![0i32; rows.len() * width];
        let mut mask = vec![0i32; rows.len() * width];
        for ((row, ids), mask) in rows.iter().zip(ids.chunks_mut(width)).zip(mask.chunks_mut(width)) {
            ids.iter_mut().zip(*row).for_each(|(slot, &id)| *slot = id.cast_signed());
            mask[..row.len()].fill(1);
        }
        let shape = [rows.len(), width];
        let inputs = vec![
            (self.input_ids, Value::from_shape(shape, ids)?.into()),
            (self.attention_mask, Value::from_shape(shape, mask)?.into()),
        ];
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let [output] = self.model.run_n(inputs, [self.sentence_embedding], Some(options))?;
        let ([_, dimension], values) = output.into_shape_vec::<f32, 2>()?;
        Ok(values.chunks_exact(dimension.max(1)).map(<[f32]>::to_vec).collect())
    }
}

fn read_positions(config: &Path) -> Result<usize, BoxError> {
    #[derive(serde::Deserialize)]
    struct Config {
        max_position_embeddings: usize,
    }
    let config: Config = serde_json::from_slice(&fs::read(config)?)?;
    Ok(config.max_position_embeddings)
}

/// Reads the tokenizer. Its file truncates and pads texts to 128 tokens, which would happen
/// silently, so both are turned off.
fn read_tokenizer(path: &Path) -> Result<Tokenizer, BoxError> {
    let mut tokenizer = Tokenizer::from_file(path)?;
    tokenizer.with_truncation(None)?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}
