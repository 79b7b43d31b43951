//! Writes a BERT sentence encoder as an ONNX graph, from the weights that its authors publish as
//! safetensors.
//!
//! The graph converts token ids to sentence vectors: the encoder, the mean over the tokens that the
//! attention mask selects, and normalization to length 1. Inputs are `input_ids` and
//! `attention_mask`, i64 `[batch, sequence]`; the output is `sentence_embedding`, f32
//! `[batch, hidden]`. The operations follow the patterns that inference engines recognize and fuse.
//! Constant steps (the scale of the attention scores, the transposed weights, the token type of a
//! single sentence) are folded into the weights here, once.

use std::io::{self, Write};

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Deserialize;

use super::onnx::{Attribute, DataType, Dim, Graph};

/// Why a graph could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ModelError {
    #[error("config.json does not describe a BERT model")]
    Config(#[source] serde_json::Error),
    #[error("config.json asks for {0}, and only BERT with GELU and absolute positions can be written")]
    Unsupported(String),
    #[error("the weights cannot be read")]
    Weights(#[from] SafeTensorError),
    #[error("tensor {name} is {found}, expected f32 {expected:?}")]
    Unexpected { name: String, found: String, expected: Vec<usize> },
    #[error("the model could not be written")]
    Write(#[from] io::Error),
}

/// The fields of `config.json` that determine the graph.
#[derive(Debug, Deserialize)]
struct BertConfig {
    model_type: String,
    hidden_act: String,
    position_embedding_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    layer_norm_eps: f32,
    max_position_embeddings: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    type_vocab_size: usize,
    vocab_size: usize,
}

/// Writes the ONNX graph of the model to `to`. `config` holds the bytes of `config.json`, and
/// `weights` those of `model.safetensors`.
pub(super) fn write_onnx(config: &[u8], weights: &[u8], to: &mut impl Write) -> Result<(), ModelError> {
    let config: BertConfig = serde_json::from_slice(config).map_err(ModelError::Config)?;
    for (value, wanted) in
        [(&config.model_type, "bert"), (&config.hidden_act, "gelu"), (&config.position_embedding_type, "absolute")]
    {
        if value != wanted {
            return Err(ModelError::Unsupported(value.clone()));
        }
    }
    let mut bert = Bert { graph: Graph::new("sentence-encoder"), weights: SafeTensors::deserialize(weights)?, config };
    bert.declare();
    let mut hidden = bert.embeddings()?;
    for layer in 0..bert.config.num_hidden_layers {
        let attended = bert.attention(layer, &hidden)?;
        hidden = bert.feed_forward(layer, &attended)?;
    }
    bert.pool(&hidden);
    bert.graph.write_model(to, "pgrecall")?;
    Ok(())
}

struct Bert<'w> {
    graph: Graph,
    weights: SafeTensors<'w>,
    config: BertConfig,
}

impl<'w> Bert<'w> {
    /// Returns the little-endian bytes of a tensor, which must have exactly this shape.
    fn f32(&self, name: &str, shape: &[usize]) -> Result<&'w [u8], ModelError> {
        let tensor = self.weights.tensor(name)?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            return Err(ModelError::Unexpected { name: name.to_owned(), found, expected: shape.to_vec() });
        }
        Ok(tensor.data())
    }

    /// Declares inputs, output and the constants that several layers share.
    fn declare(&mut self) {
        let (heads, hidden) = (self.config.num_attention_heads, self.config.hidden_size);
        let graph = &mut self.graph;
        for name in ["input_ids", "attention_mask"] {
            graph.input(name, DataType::I64, &[Dim::Named("batch"), Dim::Named("sequence")]);
        }
        graph.output("sentence_embedding", DataType::F32, &[Dim::Named("batch"), Dim::Fixed(hidden)]);
        // In a reshape, 0 keeps the input's dimension.
        graph.ints("heads.split", &[0, 0, heads as i64, (hidden / heads) as i64]);
        graph.ints("heads.joined", &[0, 0, hidden as i64]);
        for (name, value) in [("half", 0.5), ("one", 1.0), ("sqrt_2", std::f32::consts::SQRT_2)] {
            graph.scalar(name, value);
        }

        // `mask.bias` is 0 for a token and a very low score for padding: [batch, 1, 1, sequence].
        // The score is finite, so that a row that is all padding yields numbers and not NaN.
        graph.scalar("mask.penalty", 1e9);
        graph.ints("mask.axes", &[1, 2]);
        graph.node("Cast", &["attention_mask"], "mask", &[("to", Attribute::Int(DataType::F32 as i64))]);
        graph.node("Sub", &["mask", "one"], "mask.minus_one", &[]);
        graph.node("Mul", &["mask.minus_one", "mask.penalty"], "mask.scores", &[]);
        graph.node("Unsqueeze", &["mask.scores", "mask.axes"], "mask.bias", &[]);
    }

    /// Adds the nodes for the word and position embeddings, normalized: [batch, sequence, hidden].
    fn embeddings(&mut self) -> Result<String, ModelError> {
        let BertConfig { hidden_size: hidden, max_position_embeddings: positions, type_vocab_size, vocab_size, .. } =
            self.config;
        let words = self.f32("embeddings.word_embeddings.weight", &[vocab_size, hidden])?;
        self.graph.constant("embeddings.words", DataType::F32, &[vocab_size, hidden], words);

        // All tokens of a single sentence have token type 0, so that type's row is added to every
        // position here.
        let types = self.f32("embeddings.token_type_embeddings.weight", &[type_vocab_size, hidden])?;
        let token_type: Vec<f32> = floats(types).take(hidden).collect();
        let places = self.f32("embeddings.position_embeddings.weight", &[positions, hidden])?;
        let places = to_bytes(floats(places).zip(token_type.iter().cycle()).map(|(place, kind)| place + kind));
        self.graph.constant("embeddings.places", DataType::F32, &[positions, hidden], &places);

        let graph = &mut self.graph;
        graph.ints("zero", &[0]);
        let second = [("start", Attribute::Int(1)), ("end", Attribute::Int(2))];
        graph.node("Shape", &["input_ids"], "sequence.length", &second);
        graph.node("Slice", &["embeddings.places", "zero", "sequence.length", "zero"], "places", &[]);
        graph.node("Gather", &["embeddings.words", "input_ids"], "words", &[("axis", Attribute::Int(0))]);
        let sum = graph.node("Add", &["words", "places"], "embeddings.sum", &[]);
        self.layer_norm("embeddings.LayerNorm", &sum)
    }

    /// Adds the nodes for the self-attention of one layer with its residual:
    /// [batch, sequence, hidden].
    fn attention(&mut self, layer: usize, hidden: &str) -> Result<String, ModelError> {
        let size = self.config.hidden_size;
        let name = format!("encoder.layer.{layer}.attention");
        let scale = 1.0 / ((size / self.config.num_attention_heads) as f32).sqrt();
        // Queries and values become [batch, heads, sequence, head]; keys are transposed for the
        // product.
        let query = self.linear(&format!("{name}.self.query"), hidden, [size, size], scale)?;
        let query = self.heads(&query, &[0, 2, 1, 3]);
        let key = self.linear(&format!("{name}.self.key"), hidden, [size, size], 1.0)?;
        let key = self.heads(&key, &[0, 2, 3, 1]);
        let value = self.linear(&format!("{name}.self.value"), hidden, [size, size], 1.0)?;
        let value = self.heads(&value, &[0, 2, 1, 3]);

        let graph = &mut self.graph;
        let scores = graph.node("MatMul", &[&query, &key], &format!("{name}.scores"), &[]);
        let masked = graph.node("Add", &[&scores, "mask.bias"], &format!("{name}.masked"), &[]);
        let last_axis = [("axis", Attribute::Int(-1))];
        let shares = graph.node("Softmax", &[&masked], &format!("{name}.shares"), &last_axis);
        let mixed = graph.node("MatMul", &[&shares, &value], &format!("{name}.mixed"), &[]);
        let by_token = [("perm", Attribute::Ints(&[0, 2, 1, 3]))];
        let mixed = graph.node("Transpose", &[&mixed], &format!("{name}.by_token"), &by_token);
        let mixed = graph.node("Reshape", &[&mixed, "heads.joined"], &format!("{name}.joined"), &[]);

        let output = self.linear(&format!("{name}.output.dense"), &mixed, [size, size], 1.0)?;
        self.residual(&format!("{name}.output"), &output, hidden)
    }

    /// Adds the nodes for the two dense layers of one encoder layer with their residual:
    /// [batch, sequence, hidden].
    fn feed_forward(&mut self, layer: usize, hidden: &str) -> Result<String, ModelError> {
        let (size, inner) = (self.config.hidden_size, self.config.intermediate_size);
        let name = format!("encoder.layer.{layer}");
        let x = self.linear(&format!("{name}.intermediate.dense"), hidden, [inner, size], 1.0)?;

        // GELU, written as x * (erf(x / sqrt 2) + 1) * 0.5. The operator Gelu is avoided, because
        // it needs a newer operator set than older engines read.
        let graph = &mut self.graph;
        let scaled = graph.node("Div", &[&x, "sqrt_2"], &format!("{name}.gelu.scaled"), &[]);
        let erf = graph.node("Erf", &[&scaled], &format!("{name}.gelu.erf"), &[]);
        let share = graph.node("Add", &[&erf, "one"], &format!("{name}.gelu.share"), &[]);
        let twice = graph.node("Mul", &[&x, &share], &format!("{name}.gelu.twice"), &[]);
        let x = graph.node("Mul", &[&twice, "half"], &format!("{name}.gelu"), &[]);

        let output = self.linear(&format!("{name}.output.dense"), &x, [size, inner], 1.0)?;
        self.residual(&format!("{name}.output"), &output, hidden)
    }

    /// Adds the nodes that pool the tokens' vectors to one vector of length 1 per sentence:
    /// [batch, hidden].
    fn pool(&mut self, hidden: &str) {
        let graph = &mut self.graph;
        graph.ints("pool.axes", &[1]);
        // The mask as a row times the tokens' vectors is their sum. The sum has the same direction
        // as the mean, and the result is normalized anyway, so there is no division by the number
        // of tokens.
        graph.node("Unsqueeze", &["mask", "pool.axes"], "pool.row", &[]);
        graph.node("MatMul", &["pool.row", hidden], "pool.rows", &[]);
        graph.node("Squeeze", &["pool.rows", "pool.axes"], "pool.sum", &[]);
        let last_axis = [("axes", Attribute::Ints(&[-1])), ("keepdims", Attribute::Int(1))];
        graph.node("ReduceL2", &["pool.sum"], "pool.length", &last_axis);
        // Prevents a division by zero for a sentence without tokens.
        graph.scalar("pool.least", 1e-12);
        graph.node("Clip", &["pool.length", "pool.least"], "pool.divisor", &[]);
        graph.node("Div", &["pool.sum", "pool.divisor"], "sentence_embedding", &[]);
    }

    /// Adds the nodes for `x` times the layer `name`, plus its bias, both multiplied by `scale`.
    /// `shape` is [outputs, inputs], as stored.
    fn linear(&mut self, name: &str, x: &str, shape: [usize; 2], scale: f32) -> Result<String, ModelError> {
        let [outputs, inputs] = shape;
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let stored: Vec<f32> = floats(self.f32(&weight, &shape)?).collect();
        // MatMul needs [inputs, outputs].
        let turned = (0..inputs * outputs).map(|at| stored[at % outputs * inputs + at / outputs] * scale);
        self.graph.constant(&weight, DataType::F32, &[inputs, outputs], &to_bytes(turned));
        let values = to_bytes(floats(self.f32(&bias, &[outputs])?).map(|value| value * scale));
        self.graph.constant(&bias, DataType::F32, &[outputs], &values);
        let product = self.graph.node("MatMul", &[x, &weight], &format!("{name}.product"), &[]);
        Ok(self.graph.node("Add", &[&product, &bias], &format!("{name}.sum"), &[]))
    }

    /// Adds the nodes that split [batch, sequence, hidden] into heads and put the four axes into
    /// the order `perm`.
    fn heads(&mut self, x: &str, perm: &'static [i64]) -> String {
        let split = self.graph.node("Reshape", &[x, "heads.split"], &format!("{x}.split"), &[]);
        self.graph.node("Transpose", &[&split], &format!("{x}.heads"), &[("perm", Attribute::Ints(perm))])
    }

    /// Adds the nodes for a residual: the layer norm `name` of a layer's output `made` plus its
    /// input `from`.
    fn residual(&mut self, name: &str, made: &str, from: &str) -> Result<String, ModelError> {
        let sum = self.graph.node("Add", &[made, from], &format!("{name}.residual"), &[]);
        self.layer_norm(&format!("{name}.LayerNorm"), &sum)
    }

    fn layer_norm(&mut self, name: &str, x: &str) -> Result<String, ModelError> {
        let size = self.config.hidden_size;
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        for tensor in [&weight, &bias] {
            self.graph.constant(tensor, DataType::F32, &[size], self.f32(tensor, &[size])?);
        }
        let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(self.config.layer_norm_eps))];
        Ok(self.graph.node("LayerNormalization", &[x, &weight, &bias], &format!("{name}.output"), &attributes))
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes)
}

fn to_bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}
