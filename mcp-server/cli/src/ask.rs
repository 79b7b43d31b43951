//! `recall` and `search`: answer one question, or a file of them.

use std::{ops::RangeInclusive, path::PathBuf};

use clap::Args;
use pgrecall_record::{
    source::{SourceKind, Status},
    visible,
    words::WeightedTerms,
};
use pgrecall_store::recall::{Diversity, Filter, MAX_LIMIT, Query, QueryError, Strategy};
use uuid::Uuid;

use super::{
    context::{Context, Worker},
    failure::Failure,
    help::EXPERT,
    narrow::{Memories, Narrow, kinds, one_of},
    output::{self, faint, strong},
    program::named,
    queries,
};
use pgrecall_server::tools::{
    budget::MAX_TOKENS,
    memory_recall::{self, Memory, Response},
    page::{DEFAULT_LIMIT, Page, diversity, paged},
    present::parse_id,
    search::{self, Found},
};

/// The arguments that `recall` and `search` share.
#[derive(Debug, Args)]
struct Ask {
    /// The question, in plain words. With --urn it can be left out: the newest records come first.
    #[arg(required_unless_present_any = ["queries", "entity_urns"])]
    query: Option<String>,
    /// How results are ranked: `auto` is hybrid with an embedder, and keyword search without one.
    #[arg(long, default_value = "auto", value_parser = one_of::<Strategy>(Strategy::NAMES.iter().copied()), help_heading = EXPERT)]
    strategy: Strategy,
    /// Number of results, 1 to 100.
    #[arg(long, default_value_t = DEFAULT_LIMIT, value_parser = |text: &str| number(text, 1..=MAX_LIMIT))]
    limit: usize,
    #[command(flatten)]
    narrow: Narrow,
    /// Answers many questions in one run: a file of lines {"_id", "text", "filter"}. Prints one
    /// JSON line of results for each.
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["query", "cursor", "why_not", "max_tokens"], help_heading = EXPERT)]
    queries: Option<PathBuf>,
    /// Leaves out results below this score, 0 to 1. With `--strategy semantic` a score means the same
    /// in each answer; otherwise it is relative to the best keyword match.
    #[arg(long, value_name = "SCORE", value_parser = score)]
    min_score: Option<f64>,
    /// How near-duplicates are handled: `distinct` shows only one of them, `mmr` prefers results
    /// that differ.
    #[arg(long, value_parser = one_of::<Diversity>(Diversity::NAMES.iter().copied()), help_heading = EXPERT)]
    diversity: Option<Diversity>,
    /// Limits the answer to this number of tokens, 100 to 100000.
    #[arg(long, value_name = "COUNT", value_parser = |text: &str| number(text, MAX_TOKENS), help_heading = EXPERT)]
    max_tokens: Option<usize>,
    /// The cursor of the last answer, for the next page.
    #[arg(long)]
    cursor: Option<String>,
    /// Explains why the record with this id is not among the results.
    #[arg(long, value_name = "ID", value_parser = |text: &str| parse_id(text).map_err(|error| error.to_string()), help_heading = EXPERT)]
    why_not: Option<Uuid>,
    /// Explains how each score was computed.
    #[arg(long, help_heading = EXPERT)]
    explain: bool,
    /// Scores every record in scope instead of the index's candidates. It is slow; use it as the
    /// ground truth to compare with.
    #[arg(long, help_heading = EXPERT)]
    exact: bool,
}

/// The arguments of `recall`.
#[derive(Debug, Args)]
pub(super) struct Recall {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    memories: Memories,
}

/// The arguments of `search`.
#[derive(Debug, Args)]
pub(super) struct Search {
    #[command(flatten)]
    ask: Ask,
    /// A kind to search. Repeatable; without it, all kinds except memories.
    #[arg(long = "kind", value_name = "KIND", value_parser = kinds())]
    kinds: Vec<SourceKind>,
}

pub(super) async fn recall(context: &Context, recall: Recall) -> Result<(), Failure> {
    let Recall { ask, memories } = recall;
    let narrow = memories.narrow(ask.narrow.filter(vec![SourceKind::Memory])?);
    if let Some(path) = &ask.queries {
        return queries::run(context, path, &ask.query(narrow)).await;
    }
    let query = ask.checked(narrow)?;
    let offset = query.offset;
    let answer = context
        .with_engine(Worker::None, async |engine, scope| {
            Ok(memory_recall::recall(engine, scope, query, ask.max_tokens, Response::Detailed).await?)
        })
        .await?;
    if context.json {
        return output::json(&answer);
    }
    for (rank, memory) in answer.memories.iter().enumerate() {
        show_memory(offset + rank + 1, memory)?;
    }
    close(&answer.page)
}

pub(super) async fn search(context: &Context, search: Search) -> Result<(), Failure> {
    let Search { ask, kinds } = search;
    let kinds = if kinds.is_empty() { SourceKind::SEARCHED.to_vec() } else { kinds };
    let narrow = ask.narrow.filter(kinds)?;
    if let Some(path) = &ask.queries {
        return queries::run(context, path, &ask.query(narrow)).await;
    }
    let query = ask.checked(narrow)?;
    let offset = query.offset;
    let answer = context
        .with_engine(
            Worker::None,
            async |engine, scope| Ok(search::search(engine, scope, query, ask.max_tokens).await?),
        )
        .await?;
    if context.json {
        return output::json(&answer);
    }
    for (rank, found) in answer.results.iter().enumerate() {
        show_found(offset + rank + 1, found, &answer.page.terms)?;
    }
    close(&answer.page)
}

impl Ask {
    /// Checks the query before anything is started for it.
    fn checked(&self, filter: Filter) -> Result<Query, Failure> {
        let query = self.query(filter);
        query.check().map_err(|error| match error {
            QueryError::NoUrns => Failure::Misused("strategy `entity` needs `--urn`: name at least one URN".to_owned()),
            error => Failure::Misused(error.to_string()),
        })?;
        Ok(paged(query, self.cursor.as_deref())?)
    }

    fn query(&self, filter: Filter) -> Query {
        let text = self.query.clone().unwrap_or_default();
        // Without a text, only the named entities can select records.
        let is_entity = text.trim().is_empty() && !filter.entity_urns.is_empty() && self.strategy == Strategy::Auto;
        Query {
            text,
            strategy: if is_entity { Strategy::Entity } else { self.strategy },
            filter,
            limit: self.limit,
            min_score: self.min_score,
            diversity: diversity(self.diversity, self.max_tokens),
            why_not: self.why_not,
            explain: self.explain,
            exact: self.exact,
            ..Query::default()
        }
    }
}

fn show_memory(rank: usize, memory: &Memory) -> Result<(), Failure> {
    let rest = &memory.rest;
    let text = if rest.fields.title.is_empty() {
        memory.content.clone()
    } else {
        format!("{}: {}", rest.fields.title, memory.content)
    };
    let mut lines = output::wrapped(&text, output::width() - INDENT, 4).into_iter();
    output::line(&format!("{rank:>3}  {:.2}  {}", memory.score, lines.next().unwrap_or_default()))?;
    for line in lines {
        output::line(&format!("{:INDENT$}{line}", ""))?;
    }
    let labels =
        [rest.fields.dimension.clone(), (rest.status != Status::Active).then(|| rest.status.as_str().to_owned())];
    let about = labels.into_iter().flatten().chain(rest.fields.tags.iter().map(|tag| format!("#{tag}")));
    let about = about
        .chain(rest.fields.key.iter().map(|key| format!("key {key}")))
        .chain(rest.owner.iter().map(|owner| format!("of {owner}")));
    show_rest(about.chain([format!("id {}", memory.id)]), rest.explain.as_ref())
}

fn show_found(rank: usize, found: &Found, terms: &WeightedTerms) -> Result<(), Failure> {
    let rest = &found.rest;
    output::line(&format!("{rank:>3}  {:.2}  {}", found.score, strong(&output::shown(&found.title))))?;
    let section = rest.place.page.map_or_else(|| rest.place.section.clone(), |page| format!("Page {page}"));
    if !section.is_empty() && section != found.title {
        output::line(&format!("{:INDENT$}{}", "", faint(&output::shown(&section))))?;
    }
    for line in output::excerpt(&found.text, terms, output::width() - INDENT, 4) {
        output::line(&format!("{:INDENT$}{line}", ""))?;
    }
    let kind = (found.kind != SourceKind::Document).then(|| found.kind.to_string());
    let about = kind.into_iter().chain(rest.fields.key.iter().map(|key| format!("key {key}")));
    let about = about.chain(rest.owner.iter().map(|owner| format!("of {owner}")));
    show_rest(about.chain([format!("id {}", found.id)]), rest.explain.as_ref())
}

/// Width of the columns of rank and score.
const INDENT: usize = 11;

fn show_rest(
    about: impl Iterator<Item = String>,
    explain: Option<&pgrecall_store::recall::Explain>,
) -> Result<(), Failure> {
    output::line(&format!("{:INDENT$}{}", "", faint(&visible::line(&about.collect::<Vec<_>>().join(" · ")))))?;
    if let Some(explain) = explain {
        let cosine = explain.cosine.map_or("none".to_owned(), |cosine| format!("{cosine:.3}"));
        let line = format!(
            "bm25 {:.3} ({})  cosine {cosine}  blended {:.3}  neighbor boost {:.3}",
            explain.bm25,
            explain.matched_terms.join(" "),
            explain.blended,
            explain.neighbor_boost
        );
        output::line(&format!("{:INDENT$}{}", "", faint(&output::shown(&line))))?;
    }
    output::line("")
}

/// Prints the notes that follow the results.
fn close(page: &Page) -> Result<(), Failure> {
    if page.count == 0 {
        output::line("Nothing found.")?;
    }
    if let Some(why_not) = &page.why_not {
        output::line(&format!("{}: {}.", why_not.id, output::shown(&why_not.reason)))?;
    }
    if let Some(cursor) = &page.cursor {
        eprintln!("There is more: --cursor {cursor}");
    }
    if !page.note.is_empty() {
        eprintln!("Note: {}.", named(&visible::line(&page.note)));
    }
    Ok(())
}

fn score(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|score| (0.0..=1.0).contains(score))
        .ok_or_else(|| "it must be a number from 0 to 1".into())
}

pub(super) fn number(text: &str, allowed: RangeInclusive<usize>) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| format!("it must be a number from {} to {}", allowed.start(), allowed.end()))
}
