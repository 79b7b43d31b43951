//! What a query may answer from, as the parameters that every statement of a recall begins with, and whether that is little.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use tokio_postgres::types::{ToSql, Type};

use super::exact::Sources;
use super::{Fields, Filter, Search};
use crate::sql::{Begin, Conditions, filtered, sql};
use pgrecall_postgres::db::{DbError, Scope, Transaction};

/// Up to this many sources, every one of them is scored: exact distances cost less than what an approximate scan would miss, and
/// statistics of the scope itself rank better than those of the whole corpus.
const SMALL: i64 = 10_000;
/// Up to so many, also where nothing would be missed: from here on the indexes are quicker.
const FEW: i64 = 5_000;
/// Where a caller sees this part of everything, the scan of the index passes over little.
const MOST: f64 = 0.25;

/// A filter, as labels and times. The statements call these `$1` to `$5`.
#[derive(Debug, Hash)]
pub(crate) struct Narrowing {
    kinds: Vec<&'static str>,
    all: Vec<String>,
    any: Vec<String>,
    as_of: Option<Timestamp>,
    /// Whether anything but active and valid records may answer, who is asking as which persona, and what the fields must be.
    rest: Vec<Option<String>>,
    by_fields: bool,
    /// How many sources have the rarest of `all`, up to a bound.
    rarest: Option<i64>,
}

/// A parameter and its type.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

impl Narrowing {
    pub(crate) fn of(scope: &Scope, filter: &Filter) -> Self {
        let fields = &filter.fields;
        Self {
            kinds: filter.kinds.iter().map(|kind| kind.as_str()).collect(),
            all: filter.labels(),
            any: filter.urns(),
            as_of: filter.as_of,
            rest: [
                // A status is asked for as it is: what was superseded is not valid any more.
                Some((filter.include_stale || fields.status.is_some()).to_string()),
                Some(scope.owner.clone()),
                scope.persona.clone(),
            ]
            .into_iter()
            .chain(fields.as_texts())
            .collect(),
            by_fields: *fields != Fields::default(),
            rarest: None,
        }
    }

    /// Its conditions, as somebody reads them.
    pub(super) fn in_words(&self) -> Vec<String> {
        let mut said = vec![format!("kind: {}", self.kinds.join(" or "))];
        said.extend(self.all.iter().cloned());
        if !self.any.is_empty() {
            said.push(self.any.join(" or "));
        }
        said.extend(self.as_of.map(|moment| format!("valid at {moment}")));
        if self.rest[0].as_deref() == Some("false") {
            said.push("active and valid".to_owned());
        }
        said.extend(self.by_fields.then(|| "fields of its own".to_owned()));
        said
    }

    /// `$1` to `$5`.
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 5] {
        [
            (&self.kinds, Type::TEXT_ARRAY),
            (&self.all, Type::TEXT_ARRAY),
            (&self.any, Type::TEXT_ARRAY),
            (&self.as_of, Type::TIMESTAMPTZ),
            (&self.rest, Type::TEXT_ARRAY),
        ]
    }

    /// `$1` alone.
    pub(super) fn kinds(&self) -> Parameter<'_> {
        (&self.kinds, Type::TEXT_ARRAY)
    }

    /// The statement with this scope's conditions in it.
    pub(crate) fn statement(&self, text: &str) -> String {
        self.statement_from(Begin::Labels, text)
    }

    /// The same, and the scope is read from there.
    pub(super) fn statement_from(&self, begin: Begin, text: &str) -> String {
        let conditions = Conditions { all: self.all.len(), any: !self.any.is_empty(), fields: self.by_fields, begin };
        filtered(text, conditions)
    }
}

impl Narrowing {
    /// Puts the rarest of the labels first, where a scope begins.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn begin_at_the_rarest(&mut self, transaction: &Transaction) -> Result<(), DbError> {
        if self.all.is_empty() {
            return Ok(());
        }
        let bound = SMALL + 1;
        let parameters: [Parameter<'_>; 3] = [self.kinds(), (&self.all, Type::TEXT_ARRAY), (&bound, Type::INT8)];
        let rows = transaction.query_typed(sql!("label_sizes"), &parameters).await?;
        self.rarest = rows.first().map(|row| row.get("sources"));
        self.all = rows.iter().map(|row| row.get("label")).collect();
        Ok(())
    }
}

impl Search<'_> {
    /// Every source that may answer, if that is few, or each of them has to be scored.
    pub(super) async fn few_sources(&self, exact: bool) -> Result<Option<Sources>, DbError> {
        let begin = if exact { Some(Begin::Labels) } else { self.small().await? };
        match begin {
            Some(begin) => self.sources(begin, None).await,
            None => Ok(None),
        }
    }

    /// Every source that may answer, if that is few when each is asked: for what the indexes did not reach.
    pub(super) async fn few_counted(&self) -> Result<Option<Sources>, DbError> {
        let filter = hash(&("filter", self.scope, self.narrowing));
        if self.db.is_large(filter) {
            return Ok(None);
        }
        let few = self.sources(Begin::Labels, Some(SMALL)).await?;
        if few.is_none() {
            self.db.note_large(filter);
        }
        Ok(few)
    }

    /// What a small scope is best read from; `None`: it is not small, as far as is known without asking each record.
    #[tracing::instrument(name = "is_small", level = "debug", skip_all)]
    async fn small(&self) -> Result<Option<Begin>, DbError> {
        let narrowing = self.narrowing;
        if narrowing.rarest.is_some_and(|sources| sources <= SMALL) {
            return Ok(Some(Begin::Labels));
        }
        if narrowing.by_fields || !narrowing.any.is_empty() {
            let bound = SMALL + 1;
            let mut parameters = narrowing.parameters().to_vec();
            parameters.push((&bound, Type::INT8));
            let rows = self.transaction.query_typed(&narrowing.statement(sql!("scope_size")), &parameters).await?;
            return Ok((rows[0].get::<_, i64>("sources") <= SMALL).then_some(Begin::Labels));
        }
        // What many have may still be little of what this caller sees; a part of that is never most of everything.
        let by_most = self.meaning.is_some() && narrowing.rarest.is_none();
        let caller = hash(&("caller", self.scope, &narrowing.kinds, by_most));
        if self.db.is_large(caller) {
            return Ok(None);
        }
        let bound = SMALL + 1;
        let parameters: [Parameter<'_>; 4] = [
            narrowing.kinds(),
            (&narrowing.rest[1], Type::TEXT),
            (&narrowing.rest[2], Type::TEXT),
            (&bound, Type::INT8),
        ];
        let rows = self.transaction.query_typed(sql!("scope_size_by_caller"), &parameters).await?;
        let (sources, in_all): (i64, f64) = (rows[0].get("sources"), rows[0].get("in_all"));
        let is_most = by_most && sources > FEW && sources as f64 >= MOST * in_all;
        if sources > SMALL || is_most {
            self.db.note_large(caller);
            return Ok(None);
        }
        Ok(Some(Begin::Caller))
    }
}

/// What a scope or a filter is remembered by.
fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
