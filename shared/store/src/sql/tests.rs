//! Tests on a real Postgres that it can prepare every statement, and that the statements of a
//! recall use the expected indexes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pgrecall_harness::postgres;
use pgrecall_postgres::db::{Db, Role, Scope};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_record::model::{ModelId, Provider};
use pgrecall_record::source::SourceKind;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{
    Conditions, SearchSetSource, claiming, enqueuing, exporting, filtered, on_space, recording_failures, scoring,
    showing,
};
use crate::recall::{FILTER_PARAMS, Filter, FilterParams};
use crate::spaces::{self, Space};
use crate::sql::{sql, with_record_fields};

/// Dimension of the vectors.
const DIMENSION: usize = 16;
/// Maximum number of buffers for a statement that looks up the rows of one page.
const PAGE_BUFFERS: i64 = 400;
/// Maximum number of buffers for a scan of the vector index that finds the candidates of one page.
const SCAN_BUFFERS: i64 = 6_000;

/// Types of a filter's parameters.
const FILTER_TYPES: &str = "(text[], text[], text[], timestamptz, bool, text, text, text, text, text, text, timestamptz, timestamptz, timestamptz)";

/// A connection to a database with the schema and one space.
struct Session {
    client: Client,
    space: Space,
    /// Type of an array of vectors.
    vectors: Type,
    _serving: JoinHandle<()>,
}

impl Session {
    async fn open() -> anyhow::Result<Self> {
        let dsn = Dsn::parse(&postgres::database().await?)?;
        let db = Db::open(&dsn, &dsn, 2).await?;
        let space = spaces::ensure(&db, &Role::Worker, &ModelId::new(Provider::Local, None, "by-hand")).await?;
        let space = spaces::learn_dimension(&db, &space, DIMENSION).await?;
        let (client, connection) = dsn.connect().await?;
        let serving = pgrecall_process::tasks::connection("test", connection);
        client.batch_execute("SET search_path = pgrecall, public, pg_temp").await?;
        Ok(Self { client, space, vectors: db.halfvec_array(), _serving: serving })
    }

    /// Explains a statement that a caller runs: what it reads, and how.
    async fn explain(&self, statement: &str, values: &[&str]) -> anyhow::Result<Plan> {
        let arguments = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
        let begin = "BEGIN; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL ROLE pgrecall_server;
            SET LOCAL pgrecall.tenant = 'acme'; SET LOCAL pgrecall.owner = 'ana'; SET LOCAL pgrecall.persona = ''";
        let types = if values.len() < FILTER_PARAMS { "" } else { FILTER_TYPES };
        self.client.batch_execute(&format!("PREPARE explained {types} AS {statement}")).await?;
        let text = format!("{begin}; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained {arguments}; ROLLBACK");
        let messages = self.client.simple_query(&text).await?;
        self.client.batch_execute("DEALLOCATE explained").await?;
        let row = messages.iter().find_map(|it| if let SimpleQueryMessage::Row(row) = it { row.get(0) } else { None });
        let plan: Value = serde_json::from_str(row.expect("a plan"))?;
        let plan = &plan[0]["Plan"];
        let mut accesses = Vec::new();
        walk(plan, &mut accesses);
        let read = |key: &str| plan[key].as_i64().unwrap_or_default();
        Ok(Plan { accesses, buffers: read("Shared Hit Blocks") + read("Shared Read Blocks") })
    }
}

/// What a statement reads.
#[derive(Debug)]
struct Plan {
    /// Each access to a table: the kind of scan, and its index or table.
    accesses: Vec<String>,
    buffers: i64,
}

fn walk(plan: &Value, accesses: &mut Vec<String>) {
    let node = plan["Node Type"].as_str().unwrap_or_default();
    // Postgres did not execute a node with no loops, so it read nothing.
    if node.contains("Scan") && plan["Actual Loops"].as_f64().unwrap_or_default() > 0.0 {
        let place = plan["Index Name"].as_str().or(plan["Relation Name"].as_str());
        accesses.extend(place.map(|place| format!("{node} {place}")));
    }
    for child in plan["Plans"].as_array().into_iter().flatten() {
        walk(child, accesses);
    }
}

/// Returns those types of a statement's parameters that Postgres cannot infer.
fn types(name: &str, text: &str, vectors: &Type) -> Vec<Type> {
    let scope = Scope { tenant: String::new(), owner: String::new(), persona: None };
    match name {
        "store_vectors" => {
            vec![Type::INT8_ARRAY, Type::INT8, Type::INT8_ARRAY, Type::BYTEA_ARRAY, vectors.clone()]
        }
        _ if ["{filter}", "{search_set}", "{fields}"].iter().any(|it| text.contains(it)) => {
            let filter = FilterParams::of(&scope, &Filter::default());
            filter.with(&[]).into_iter().map(|(_, of)| of).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns every form that conditions can give a statement.
fn forms(text: &str, space: &Space) -> Vec<String> {
    let text = with_record_fields(&recording_failures(&enqueuing(&claiming(&scoring(&exporting(&showing(text)))))));
    let text = on_space(&text, space.id).replace("{table}", &space.id.table());
    let mut forms = Vec::new();
    for source in [SearchSetSource::Filter, SearchSetSource::Caller] {
        for (all, any, fields) in [(0, false, false), (2, false, true), (0, true, false), (1, true, true)] {
            forms.push(filtered(&text, Conditions { all, any, fields, source }));
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

#[tokio::test]
async fn every_statement_is_prepared_by_this_postgres() -> anyhow::Result<()> {
    let session = Session::open().await?;
    // Stands in for amcheck, an extension that the Postgres from setup does not have.
    let amcheck = "CREATE FUNCTION bt_index_check(index oid) RETURNS void LANGUAGE sql AS 'SELECT'";
    session.client.batch_execute(amcheck).await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sql/queries");
    let (mut refused, mut statements) = (BTreeMap::new(), 0);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let (name, text) = (path.file_stem().unwrap_or_default().to_string_lossy(), fs::read_to_string(&path)?);
        let types = types(&name, &text, &session.vectors);
        for form in forms(&text, &session.space) {
            statements += 1;
            let has_placeholder =
                form.split('{').skip(1).any(|rest| rest.starts_with(|it: char| it.is_ascii_lowercase()));
            assert!(!has_placeholder, "{}: a placeholder is left:\n{form}", path.display());
            if let Err(error) = session.client.prepare_typed(&form, &types).await {
                let why = error.as_db_error().map_or_else(|| error.to_string(), |it| it.message().to_owned());
                refused.insert(name.to_string(), why);
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(statements > 150, "{statements}");
    Ok(())
}

/// 20,000 memories of two tenants and two owners, in sessions, each with a label and a vector.
const RECORDS: &str = "
    SELECT setseed(0.5);
    INSERT INTO sources (tenant_id, source_kind, source_id, owner_id, visibility, title, body, format, metadata, tags, entity_urns, session,
                         content_hash, words)
    SELECT CASE WHEN n % 5 = 0 THEN 'acme' ELSE 'other' END, 'memory', ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, CASE WHEN n % 20 = 0 THEN 'ana' ELSE 'bob' END,
           'tenant', '', 'memory ' || n, 'plain', '{}', '{}', '{}', 's' || n / 50, sha256(n::text::bytea), 2
    FROM generate_series(1, 20000) n;
    INSERT INTO passages (source, tenant_id, source_kind, ordinal, heading, text, text_hash, audience, persona_owner)
    SELECT id, tenant_id, source_kind, 0, '', body, content_hash, audience(visibility, persona, owner_id), NULL FROM sources;
    INSERT INTO labels (tenant_id, source_kind, label, source, audience, persona_owner)
    SELECT tenant_id, source_kind, 'tag=t' || id % 100, id, audience(visibility, persona, owner_id), NULL FROM sources;";
const VECTORS: &str = "
    INSERT INTO {vectors} (passage, source, tenant_id, source_kind, text_hash, embedding, audience, persona_owner)
    SELECT p.id, p.source, p.tenant_id, p.source_kind, p.text_hash,
           ('[' || (SELECT string_agg((random() - 0.5 + n * 0 + p.id * 0)::text, ',') FROM generate_series(1, 16) n) || ']')::halfvec, p.audience, NULL
    FROM passages p";

#[tokio::test]
async fn the_statements_of_a_recall_read_by_their_indexes() -> anyhow::Result<()> {
    let session = Session::open().await?;
    session.client.batch_execute(RECORDS).await?;
    session.client.batch_execute(&on_space(VECTORS, session.space.id)).await?;
    session.client.batch_execute("VACUUM ANALYZE").await?;
    let table = session.space.id.table();
    let scope = Scope { tenant: "acme".into(), owner: "ana".into(), persona: None };
    let kinds = "'{memory}'";
    let filtered = |all: &str, any: &str, own: &[&str]| -> Vec<String> {
        let first = [kinds, all, any, "NULL", "false", "'ana'", "NULL"];
        first.iter().chain(&["NULL"; 7]).chain(own).map(|value| (*value).to_owned()).collect()
    };
    let with = |labels: &str, own: &[&str]| filtered(labels, "'{}'", own);
    let about = |labels: &str, own: &[&str]| filtered("'{}'", labels, own);
    let plain = Filter::of(SourceKind::Memory);
    let labelled = Filter { tags: vec!["t10".into()], ..Filter::of(SourceKind::Memory) };
    let named = Filter { entity_urns: vec!["urn:x".into()], ..Filter::of(SourceKind::Memory) };
    let [plain, labelled, named] = [plain, labelled, named].map(|filter| FilterParams::of(&scope, &filter));
    let vector = format!("'[{}]'::halfvec", vec!["0.1"; DIMENSION].join(","));
    let ids = format!("'{{{}}}'", (1..=60).map(|n| (n * 300).to_string()).collect::<Vec<_>>().join(","));
    let zeros = format!("'{{{}}}'", ["0"; 60].join(","));
    let space = |text: &str| on_space(text, session.space.id);
    let own = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let id = "'00000000-0000-7000-8000-000000000700'";
    let cases: Vec<(&str, String, Vec<String>, String, i64)> = vec![
        ("label_sizes", sql!("label_sizes").into(), own(&[kinds, "'{tag=t10}'", "10001"]), "labels_pkey".into(), 100),
        (
            "readable_size",
            sql!("readable_size").into(),
            own(&[kinds, "'ana'", "NULL", "10001"]),
            "sources_by_".into(),
            PAGE_BUFFERS,
        ),
        (
            "search_set of a label",
            labelled.statement(sql!("search_set")),
            with("'{tag=t10}'", &["NULL"]),
            "labels_pkey".into(),
            3 * PAGE_BUFFERS,
        ),
        (
            "entity_sources",
            named.statement(sql!("entity_sources")),
            about("'{tag=t10}'", &["11"]),
            "labels_pkey".into(),
            3 * PAGE_BUFFERS,
        ),
        (
            "vector_candidates",
            space(&plain.statement(sql!("vector_candidates"))),
            with("'{}'", &[&vector, "60"]),
            format!("{table}_"),
            SCAN_BUFFERS,
        ),
        ("candidate_vectors", space(sql!("candidate_vectors")), own(&[&ids, &vector]), table.clone(), PAGE_BUFFERS),
        ("passage_vectors", space(sql!("passage_vectors")), own(&[&ids]), format!("{table}_pkey"), PAGE_BUFFERS),
        (
            "passage_cosines",
            space(sql!("passage_cosines")),
            own(&[&ids, &vector]),
            format!("{table}_pkey"),
            PAGE_BUFFERS,
        ),
        ("candidate_facts", sql!("candidate_facts").into(), own(&[&ids]), "sources_pkey".into(), PAGE_BUFFERS),
        ("public_ids", sql!("public_ids").into(), own(&[&ids]), "sources_pkey".into(), PAGE_BUFFERS),
        (
            "neighbors",
            plain.statement(sql!("neighbors")),
            with("'{}'", &[&ids]),
            "sources_by_session".into(),
            5 * PAGE_BUFFERS,
        ),
        ("hits", showing(sql!("hits")), own(&[&ids, "'{}'"]), "sources_pkey".into(), 5 * PAGE_BUFFERS),
        (
            "nearest_passages",
            space(sql!("nearest_passages")),
            own(&[&ids, &vector, "3"]),
            format!("{table}_source"),
            PAGE_BUFFERS,
        ),
        (
            "read_passages",
            showing(sql!("read_passages")),
            own(&[&ids, &zeros]),
            "passages_source_ordinal_key".into(),
            5 * PAGE_BUFFERS,
        ),
        ("why_not", plain.statement(sql!("why_not")), with("'{}'", &[id]), "sources_by_id".into(), 50),
    ];
    for (name, statement, values, index, buffers) in cases {
        let plan = session.explain(&statement, &values.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        assert!(plan.accesses.iter().any(|access| access.contains(&index)), "{name}: {index} is not used: {plan:?}");
        assert!(plan.accesses.iter().all(|access| !access.starts_with("Seq Scan")), "{name}: {plan:?}");
        assert!(plan.buffers <= buffers, "{name} may read {buffers}: {plan:?}");
    }
    Ok(())
}

/// Each column in the list is a field of [`RecordFields`](pgrecall_record::source::RecordFields).
#[test]
fn the_list_of_columns_names_the_fields_of_a_record() {
    let fields: Map<String, Value> =
        serde_json::from_value(json!(pgrecall_record::source::RecordFields::default())).expect("fields");
    let columns: Vec<&str> = super::RECORD_FIELDS.lines().filter_map(|line| line.split(' ').next()).collect();
    for field in fields.keys().map(|field| if field == "source" { "origin" } else { field }) {
        let is_apart = ["key", "valid_from", "valid_to"].contains(&field);
        assert_eq!(columns.contains(&field), !is_apart, "{field}");
    }
    assert_eq!(columns.len() + 3, fields.len());
}
