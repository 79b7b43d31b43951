//! Tests of the real local model, as setup installs it.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Instant,
};

use pgrecall_embedder::{ClientOptions, EmbedClient, EmbedError, Embedder, ProviderConfig, Purpose, build};

use crate::{PATIENCE, embed_each, texts};

fn model_dir() -> PathBuf {
    let model = pgrecall_harness::postgres::runtime().model().model;
    model.parent().expect("the model lies in a folder").to_owned()
}

/// Returns the local embedder, which is loaded once for all tests.
fn local() -> Arc<dyn Embedder> {
    static LOCAL: OnceLock<Arc<dyn Embedder>> = OnceLock::new();
    let load = || build(ProviderConfig::Local { model_dir: model_dir(), threads: Some(2) }.into()).unwrap();
    LOCAL.get_or_init(load).clone()
}

fn client() -> EmbedClient {
    EmbedClient::new(local(), ClientOptions::query(PATIENCE))
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Token counts of Python's tokenizers, and the first numbers of each vector in ONNX Runtime.
const REFERENCE: [(&str, usize, [f32; 8]); 3] = [
    (
        "How do we calculate net revenue for a quarter?",
        12,
        [0.04687, 0.01627, -0.05255, -0.06173, -0.06907, -0.00259, -0.05103, 0.03824],
    ),
    (
        "SELECT cust_id FROM hive.sales.orders_v2",
        16,
        [0.00339, 0.0777, 0.03279, -0.01766, -0.04439, 0.08054, 0.00415, 0.00208],
    ),
    ("Crème brûlée à 5 €, 東京!", 14, [0.06664, 0.01199, 0.03878, -0.04581, -0.06935, -0.03713, 0.06969, 0.02931]),
];

#[tokio::test]
async fn vectors_and_token_counts_are_the_reference_runtimes() {
    let client = client();
    // Texts of many lengths stand between them, to detect errors of padding and order.
    let mut batch: Vec<String> = (0..60).map(|n| "filler of another length ".repeat(n % 13 + 1)).collect();
    for (place, (text, tokens, _)) in REFERENCE.iter().enumerate() {
        assert_eq!(client.embedder().count_tokens(text), *tokens, "{text}");
        batch.insert(place * 25, (*text).to_owned());
    }
    let vectors = client.embed(Purpose::Passage, batch).await.unwrap();
    assert_eq!(client.dimension(), Some(384));
    for (place, (text, _, begin)) in REFERENCE.iter().enumerate() {
        let alone = client.embed(Purpose::Query, texts(&[text])).await.unwrap();
        for vector in [&vectors[place * 25], &alone[0]] {
            assert!(vector.iter().zip(begin).all(|(a, b)| (a - b).abs() < 1e-4), "{text}: {:?}", &vector[..8]);
        }
        assert!(cosine(&vectors[place * 25], &alone[0]) > 0.9999);
    }
}

#[tokio::test]
async fn like_meanings_are_nearer_than_unlike_ones() {
    let client = client();
    let sentences = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Quarterly revenue rose by 8 %."];
    let vectors = client.embed(Purpose::Passage, texts(&sentences)).await.unwrap();
    assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.3);
}

#[tokio::test]
async fn text_over_the_window_is_refused_and_never_cut() {
    let client = client();
    let long = "word ".repeat(600);
    assert_eq!(client.embedder().count_tokens(&long), 602);
    let results = embed_each(&client, texts(&["short", &long, "also short"])).await.unwrap();
    assert!(results[0].is_ok() && results[2].is_ok());
    assert!(matches!(results[1], Err(EmbedError::TooLong { tokens: 602, limit: 512, .. })), "{:?}", results[1]);
    // A text within the model's positions is embedded whole: its last word counts.
    let (a, b) = (format!("{} apple", "word ".repeat(400)), format!("{} volcano", "word ".repeat(400)));
    let vectors = client.embed(Purpose::Passage, vec![a, b]).await.unwrap();
    assert_ne!(vectors[0], vectors[1]);
}

#[tokio::test]
async fn strange_texts_get_vectors_too() {
    let strange = ["", " ", "\n\t", "\0\u{1}\u{202e}", "🤖🤖🤖", "日本語のテキスト", &"x".repeat(5_000)];
    let vectors = client().embed(Purpose::Passage, texts(&strange)).await.unwrap();
    assert_eq!(vectors.len(), strange.len());
}

#[tokio::test]
async fn concurrent_calls_do_not_mix_their_texts() {
    let client = client();
    let expected = client.embed(Purpose::Query, texts(&[REFERENCE[0].0])).await.unwrap();
    let calls = (0..8).map(|n| {
        let client = client.clone();
        let batch: Vec<String> = (0..=n).map(|_| REFERENCE[0].0.to_owned()).collect();
        async move { client.embed(Purpose::Passage, batch).await.unwrap() }
    });
    for vectors in futures_util::future::join_all(calls).await {
        for vector in vectors {
            assert!(cosine(&vector, &expected[0]) > 0.9999);
        }
    }
}

#[test]
fn a_deadline_in_the_past_ends_a_batch_before_it_runs() {
    let batch = vec!["text".to_owned(); 200];
    let error = local().embed(Purpose::Passage, &batch, Instant::now()).unwrap_err();
    assert!(matches!(error, EmbedError::Timeout { .. }), "{error}");
}

#[test]
fn missing_and_broken_model_files_are_named() {
    let empty = std::env::temp_dir().join("pgrecall-no-model-here");
    let error = build(ProviderConfig::Local { model_dir: empty, threads: None }.into()).err().unwrap();
    assert!(matches!(&error, EmbedError::ModelFiles { path, .. } if path.ends_with("config.json")), "{error}");
}
