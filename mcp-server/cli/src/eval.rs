//! `eval`: measures the ranking quality on a judged collection.
//!
//! It ingests the collection into a home of its own and asks each question with every ranking
//! strategy. It never uses the configured database or home: another collection would change the
//! term statistics, and the records would stay. The private Postgres is in a temporary folder,
//! which is removed at the end. The model and the ranking formula are the configured ones, since
//! these are measured.

mod collection;
mod measures;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use pgrecall_config::Provider;
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::SourceKind;
use pgrecall_store::recall::{Filter, Query, Strategy};
use serde::Serialize;
use serde_json::{Map, Value, json};
use shared::engine::Engine;

use self::collection::{Home, fill};
use super::{
    context::{Context, Worker},
    failure::Failure,
    ingest::counted,
    narrow::one_of,
    output::{self, strong},
    progress,
    queries::recall_narrowed,
};
use crate::eval::measures::{Judged, Question, mean, percentile};
use pgrecall_ingest::Tally;

/// Results that are fetched for a question: the usual depth of a recall figure that is compared
/// with others.
const DOCUMENTS: usize = 100;
const MEMORIES: usize = 50;
/// Depth of the second recall figure.
const DEEP: usize = 50;
/// What `--as` may name.
const KINDS: [&str; 2] = ["document", "memory"];

/// The arguments of `eval`.
#[derive(Debug, Args)]
pub(super) struct Eval {
    /// Folder with corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv).
    folder: PathBuf,
    /// The kind of each record of the corpus.
    #[arg(long = "as", value_name = "KIND", default_value = "document", value_parser = one_of::<SourceKind>(KINDS))]
    kind: SourceKind,
    /// Number of results that count for nDCG and recall, 1 to 50.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=MEMORIES as u64))]
    k: u64,
    /// Keeps the home with the collection, and prints its path.
    #[arg(long)]
    keep: bool,
}

/// The figures of one ranking strategy.
#[derive(Debug, Serialize)]
struct Figures {
    #[serde(skip)]
    ranking: Strategy,
    #[serde(flatten)]
    shares: Map<String, Value>,
    p50_ms: f64,
    p95_ms: f64,
    /// Number of questions without results.
    unanswered: usize,
}

pub(super) async fn run(context: &Context, eval: Eval) -> Result<(), Failure> {
    let judged = Judged::read(&eval.folder).map_err(Failure::Misused)?;
    if context.config.database.dsn.is_some() {
        eprintln!("The configured database is left alone: eval measures in a private Postgres of its own.");
    }
    let home = Home::new(eval.keep);
    let apart = Context::new(home.config(&context.config), context.json, None);
    let (tally, model) = fill(&apart, &judged, eval.kind).await?;
    let rankings = match apart.config.memory.embedding.provider {
        Provider::Noop => vec![Strategy::Lexical],
        _ => vec![Strategy::Hybrid, Strategy::Lexical, Strategy::Semantic],
    };
    let mut all = Vec::new();
    for ranking in rankings {
        all.push(measure(&apart, &judged, &eval, ranking).await?);
    }
    show(context, &judged, &eval, &tally, &model, &all)?;
    if eval.keep {
        eprintln!("The collection is in PGRECALL_HOME={}.", home.path.display());
    }
    if tally.refused > 0 { Err(Failure::Told) } else { Ok(()) }
}

/// Asks every question with one ranking strategy, one after the other.
///
/// Each strategy has an engine of its own, which has no query vector in its cache.
async fn measure(context: &Context, judged: &Judged, eval: &Eval, ranking: Strategy) -> Result<Figures, Failure> {
    context
        .with_engine(Worker::None, async |engine, scope| {
            let bar = progress::count(judged.questions.len() as u64, ranking.as_str());
            // The first query waits for the model and for pages from the disk, which must not be
            // measured.
            let first = &judged.questions[0];
            let warming = Question {
                id: String::new(),
                text: format!("{} ", first.text),
                filter: Map::new(),
                gains: first.gains.clone(),
            };
            let _ = ask(engine, scope, &warming, eval.kind, ranking).await?;
            let (mut times, mut answers) = (Vec::new(), Vec::new());
            for question in &judged.questions {
                let begun = Instant::now();
                answers.push(ask(engine, scope, question, eval.kind, ranking).await?);
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                bar.inc(1);
            }
            bar.finish_and_clear();
            Ok(figures(judged, &answers, times, eval.k as usize, ranking))
        })
        .await
}

/// Returns the keys of a question's results, best first, each of them once.
///
/// A question that cannot be asked is reported, and has no results.
async fn ask(
    engine: &Engine,
    scope: &Scope,
    question: &Question,
    kind: SourceKind,
    ranking: Strategy,
) -> Result<Vec<String>, Failure> {
    let (kinds, limit) = match kind {
        SourceKind::Memory => (vec![SourceKind::Memory], MEMORIES),
        _ => (SourceKind::SEARCHED.to_vec(), DOCUMENTS),
    };
    let filter = Filter { kinds, ..Filter::default() };
    let query = Query { text: question.text.clone(), strategy: ranking, filter, limit, ..Query::default() };
    let answer = match recall_narrowed(engine, scope, query, question.filter.clone()).await {
        Ok(answer) => answer,
        Err(error) if error.is_callers_fault() => {
            eprintln!("question {}: {error}", question.id);
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    if answer.degraded {
        let why = answer.note.unwrap_or_default();
        return Err(Failure::Failed(anyhow::anyhow!(
            "a question was {why}: the figures would be those of another ranking"
        )));
    }
    let mut keys: Vec<String> = Vec::with_capacity(answer.hits.len());
    for hit in answer.hits {
        let key = hit.fields.key.unwrap_or_else(|| hit.id.to_string());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn figures(judged: &Judged, answers: &[Vec<String>], times: Vec<f64>, k: usize, ranking: Strategy) -> Figures {
    let over_all = |of: &dyn Fn(&Question, &[String]) -> f64| {
        let value = mean(judged.questions.iter().zip(answers).map(|(question, ranked)| of(question, ranked)));
        json!((value * 1e4).round() / 1e4)
    };
    let mut shares = Map::new();
    shares.insert(format!("ndcg@{k}"), over_all(&|question, ranked| question.ndcg(ranked, k)));
    for k in [k, DEEP] {
        shares.insert(format!("recall@{k}"), over_all(&|question, ranked| question.recall(ranked, k)));
    }
    let unanswered = answers.iter().filter(|ranked| ranked.is_empty()).count();
    let ms = |share| (percentile(times.clone(), share) * 10.0).round() / 10.0;
    Figures { ranking, shares, p50_ms: ms(0.5), p95_ms: ms(0.95), unanswered }
}

fn show(
    context: &Context,
    judged: &Judged,
    eval: &Eval,
    tally: &Tally,
    model: &str,
    all: &[Figures],
) -> Result<(), Failure> {
    let set = title(&eval.folder);
    if context.json {
        let rankings: Map<String, Value> =
            all.iter().map(|figures| (figures.ranking.as_str().to_owned(), json!(figures))).collect();
        return output::json(&json!({
            "set": set, "records": tally.stored(), "refused": tally.refused, "skipped": tally.skipped,
            "questions": judged.questions.len(), "model": model, "rankings": rankings,
        }));
    }
    let (records, questions) =
        (counted(tally.stored(), "record"), counted(judged.questions.len() as u64, "judged question"));
    output::line(&format!("{}: {records}, {questions}, {model}", strong(&set)))?;
    let Some(first) = all.first() else { return Ok(()) };
    let columns = first.shares.keys().map(|column| format!("{column:>11}")).collect::<String>();
    output::line(&format!("{:10}{columns}{:>11}{:>11}", "", "p50", "p95"))?;
    for figures in all {
        let shares = figures.shares.values().filter_map(Value::as_f64).map(|share| format!("{share:>11.3}"));
        let times = [figures.p50_ms, figures.p95_ms].map(|ms| format!("{:>11}", format!("{ms:.1} ms"))).concat();
        output::line(&format!("{:10}{}{times}", figures.ranking.as_str(), shares.collect::<String>()))?;
        if figures.unanswered > 0 {
            eprintln!(
                "{}: {} without an answer.",
                figures.ranking.as_str(),
                counted(figures.unanswered as u64, "question")
            );
        }
    }
    Ok(())
}

/// Returns the name of a folder.
fn title(folder: &Path) -> String {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    whole.file_name().map_or_else(|| whole.display().to_string(), |name| name.to_string_lossy().into_owned())
}
