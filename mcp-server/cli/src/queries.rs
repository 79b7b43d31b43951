//! `--queries FILE.jsonl`: answers many questions in one process, in their order.
//!
//! Each question has one line of results. A broken line has a line with an `error`, and makes the
//! exit code 1. A blank question has no results, which is no error, since judged collections
//! contain some.

use std::{fs::File, path::Path};

use anyhow::Context as _;
use futures_util::{StreamExt, stream};
use pgrecall_postgres::db::Scope;
use pgrecall_record::lenient;
use pgrecall_store::recall::{self, Query, QueryError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::engine::{Engine, EngineError};
use uuid::Uuid;

use super::{
    context::{Context, Worker},
    failure::Failure,
    output,
};
use pgrecall_ingest::lines::{self, Line, MAX_LINE_BYTES};

/// Concurrent questions: as many as keep an embedder and a database of a few cores busy.
const AT_A_TIME: usize = 4;

/// One question of the file.
#[derive(Debug, Deserialize)]
struct Question {
    #[serde(rename = "_id")]
    id: Value,
    text: String,
    filter: Option<Map<String, Value>>,
}

/// The results of one question.
#[derive(Debug, Serialize)]
struct Answered {
    query_id: Value,
    results: Vec<Answer>,
    degraded: bool,
    /// Why there are no results.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    id: Uuid,
    key: Option<String>,
    score: f64,
}

/// A line that is not a question.
#[derive(Debug, Serialize)]
struct Broken {
    query_id: Value,
    error: String,
}

/// Answers the questions of a file. `pattern` is the part of the query that they share.
pub(super) async fn run(context: &Context, path: &Path, pattern: &Query) -> Result<(), Failure> {
    let file = File::open(path).and_then(lines::reader);
    let file = file.map_err(|error| Failure::Misused(format!("{} cannot be read ({error})", path.display())))?;
    let broken = context
        .with_engine(Worker::None, async |engine, scope| {
            let mut file = file;
            let lines = std::iter::from_fn(move || lines::next(&mut file, MAX_LINE_BYTES).transpose());
            let asked = stream::iter(lines.enumerate()).map(|(number, line)| async move {
                let (line, _) = line.with_context(|| format!("{} cannot be read", path.display()))?;
                if matches!(&line, Line::Text(text) if text.trim().is_empty()) {
                    return Ok(None);
                }
                match parse(line, number + 1) {
                    Ok(question) => answer(engine, scope, question, pattern).await.map(|answered| Some(Ok(answered))),
                    Err(broken) => Ok(Some(Err(broken))),
                }
            });
            let mut answers = asked.buffered(AT_A_TIME);
            let mut broken = 0;
            while let Some(answered) = answers.next().await {
                match answered? {
                    None => {}
                    Some(Ok(answered)) => output::json(&answered)?,
                    Some(Err(line)) => {
                        broken += 1;
                        eprintln!("{}: {}", path.display(), line.error);
                        output::json(&line)?;
                    }
                }
            }
            Ok::<u64, Failure>(broken)
        })
        .await?;
    if broken > 0 { Err(Failure::Told) } else { Ok(()) }
}

fn parse(line: Line, number: usize) -> Result<Question, Broken> {
    let broken = |query_id: Value, why: String| Broken { query_id, error: format!("line {number}: {why}") };
    let line = match line {
        Line::Text(line) => line,
        Line::NotUtf8 => return Err(broken(Value::Null, "it is not UTF-8".to_owned())),
        Line::TooLong => return Err(broken(Value::Null, "it is too long".to_owned())),
    };
    let (value, _): (Value, _) = lenient::read(line.as_bytes())
        .map_err(|error| broken(Value::Null, format!("it is not valid JSON ({error})")))?;
    let id = value.get("_id").cloned().unwrap_or(Value::Null);
    if !(id.is_string() || id.is_number()) {
        return Err(broken(Value::Null, "it has no `_id`".to_owned()));
    }
    serde_json::from_value(value).map_err(|error| broken(id, error.to_string()))
}

/// Answers a query that the filter of a question narrows.
pub(super) async fn recall_narrowed(
    engine: &Engine,
    scope: &Scope,
    mut query: Query,
    filter: Map<String, Value>,
) -> Result<recall::Answer, EngineError> {
    query.filter.narrow(filter).map_err(QueryError::from)?;
    engine.recall(scope, query).await
}

async fn answer(engine: &Engine, scope: &Scope, question: Question, pattern: &Query) -> Result<Answered, Failure> {
    let query = Query { text: question.text, ..pattern.clone() };
    // An `_id` becomes a text, so that it can be compared with a judgment file.
    let query_id = if question.id.is_number() { Value::String(question.id.to_string()) } else { question.id };
    match recall_narrowed(engine, scope, query, question.filter.unwrap_or_default()).await {
        Ok(found) => {
            let results =
                found.hits.into_iter().map(|hit| Answer { id: hit.id, key: hit.fields.key, score: hit.score });
            let mut results: Vec<Answer> = results.collect();
            results.sort_by(|a, b| b.score.total_cmp(&a.score));
            Ok(Answered { query_id, results, degraded: found.degraded, error: None })
        }
        Err(error) if error.is_callers_fault() => {
            Ok(Answered { query_id, results: Vec::new(), degraded: false, error: Some(error.to_string()) })
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_question_or_says_why_not() {
        let parse = |text: &str, number| parse(Line::Text(text.to_owned()), number);
        assert_eq!(parse(r#"{"_id": "1", "text": "q", "metadata": {}, "filter": {"a": 1}}"#, 1).unwrap().text, "q");
        assert_eq!(parse("nonsense", 7).unwrap_err().error.split(':').next(), Some("line 7"));
        let broken = parse(r#"{"_id": "a", "text": 5}"#, 2).unwrap_err();
        assert_eq!(broken.query_id, "a");
        assert!(parse(r#"{"text": "q"}"#, 1).unwrap_err().error.contains("`_id`"));
    }
}
