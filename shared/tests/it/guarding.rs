//! Tests of the database's own guards: row-level security by reader, and functions with the owner's
//! rights.

use std::collections::BTreeSet;

use pgrecall_harness::{postgres, wait};
use pgrecall_postgres::db::{Db, Role, Scope, Transaction, migrate};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_record::source::{Record, RecordFields, SourceKind, Visibility};
use pgrecall_store::write::Batch;
use pgrecall_store::{queue, read, spaces, write};
use tokio_postgres::SimpleQueryMessage;
use uuid::Uuid;

use crate::fixture::{DIMENSION, Fixture, limit, memory, query, scope};

/// The tables whose rows have no reader, each with the reason.
const OF_NOBODY: [&str; 7] = [
    // They hold terms and counts only; replacing them is guarded by reader.
    "postings",
    "word_stats",
    "corpus_stats",
    // It belongs to a tenant as a whole, for the administrator of its keys. It holds no text, and
    // only hashes of keys.
    "api_keys",
    // They belong to the installation.
    "embedding_spaces",
    "refinery_schema_history",
    "installation",
];
/// A word in every record that the caller of these tests may not read.
const CANARY: &str = "canary";

fn analyst(owner: &str) -> Scope {
    Scope { persona: Some("analyst".into()), ..scope("acme", owner) }
}

fn shared_with(visibility: Visibility, text: &str) -> Record {
    Record {
        fields: RecordFields { tags: vec![text.replace(' ', "-")], key: Some(text.into()), ..RecordFields::default() },
        visibility,
        ..memory(text)
    }
}

async fn write_as(it: &Fixture, who: &Scope, records: Vec<Record>) -> anyhow::Result<Vec<Uuid>> {
    let receipts = write::write(&it.db, who, &Batch::prepare(records, &limit())).await?;
    receipts.into_iter().map(|receipt| Ok(receipt?.id)).collect()
}

/// Runs a statement as a caller, rolls it back, and returns its first column as text.
async fn seen_by(it: &Fixture, who: &Scope, statement: &str) -> anyhow::Result<Vec<String>> {
    let query = async |transaction: Transaction| {
        let rows = transaction.query_typed(statement, &[]).await?;
        transaction.rollback().await?;
        Ok(rows)
    };
    let rows = it.db.run_once(who, query).await?;
    Ok(rows.iter().map(|row| row.get::<_, Option<String>>(0).unwrap_or_default()).collect())
}

async fn changed_by(it: &Fixture, who: &Scope, statement: &str) -> anyhow::Result<u64> {
    let change = async |transaction: Transaction| {
        let changed = transaction.execute_typed(statement, &[]).await?;
        transaction.rollback().await?;
        Ok(changed)
    };
    Ok(it.db.run_once(who, change).await?)
}

/// Makes a store in which ana can read two of seven records, and every table has rows about each of
/// them.
async fn store() -> anyhow::Result<(Fixture, Vec<Uuid>)> {
    let it = Fixture::new().await?;
    let bob = scope("acme", "bob");
    let mut hers = write_as(&it, &it.scope, vec![shared_with(Visibility::Private, "mine alone")]).await?;
    hers.extend(write_as(&it, &bob, vec![shared_with(Visibility::Tenant, "for all of us")]).await?);
    write_as(&it, &bob, vec![shared_with(Visibility::Private, "canary of bob")]).await?;
    write_as(&it, &analyst("bob"), vec![shared_with(Visibility::Persona, "canary of the analysts")]).await?;
    for visibility in [Visibility::Private, Visibility::Tenant] {
        write_as(&it, &scope("rival", "ana"), vec![shared_with(visibility, "canary of a rival")]).await?;
    }
    let gone = write_as(&it, &bob, vec![shared_with(Visibility::Private, "canary that is gone")]).await?;
    let mine = write_as(&it, &it.scope, vec![shared_with(Visibility::Private, "mine that is gone")]).await?;
    it.embed_all(|_| 3).await?;
    pgrecall_store::forget::forget(&it.db, &bob, &gone, pgrecall_store::forget::How::Keep).await?;
    pgrecall_store::forget::forget(&it.db, &it.scope, &mine, pgrecall_store::forget::How::Keep).await?;
    it.run_sql(
        "INSERT INTO failures (source, space, tenant_id, source_kind, error_class, last_error, occurrences, first_failed_at, last_failed_at)
         SELECT id, 1, tenant_id, source_kind, 'refused', 'it says: ' || body, 1, now(), now() FROM sources;
         INSERT INTO index_jobs (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total)
         SELECT tenant_id, source_kind, id, 1, 'manual', now(), 1 FROM sources;
         INSERT INTO ingested_files (tenant_id, owner_id, path, collection, version, sources)
         SELECT tenant_id, owner_id, '/home/' || owner_id || '/' || body, '', gen_random_uuid(), 1 FROM sources;
         INSERT INTO file_sources (file, source, tenant_id, version)
         SELECT f.id, s.id, s.tenant_id, f.version FROM sources s
         JOIN ingested_files f ON f.path = '/home/' || s.owner_id || '/' || s.body AND f.tenant_id = s.tenant_id
         ON CONFLICT DO NOTHING;
         INSERT INTO source_versions (tenant_id, version_id, source_id, owner_id, persona, visibility, record, written_by, replaced_by)
         SELECT tenant_id, gen_random_uuid(), source_id, owner_id, persona, visibility, jsonb_build_object('text', body), owner_id, 'x' FROM sources;
         INSERT INTO source_versions (tenant_id, version_id, source_id, owner_id, visibility, record, written_by, replaced_by)
         SELECT tenant_id, gen_random_uuid(), source_id, owner_id, 'tenant', jsonb_build_object('text', body), owner_id, 'x' FROM sources
         WHERE owner_id = 'bob' AND visibility = 'private';
         INSERT INTO index_job_history (tenant_id, source_kind, sources, space, trigger_kind, attempts, items, created_at, started_at)
         SELECT tenant_id, source_kind, ARRAY[id], 1, 'write', 1, 1, now(), now() FROM sources;
         INSERT INTO audience_corpora SELECT tenant_id, source_kind, audience(visibility, persona, owner_id), count(*), 1 FROM sources GROUP BY 1, 2, 3;
         INSERT INTO audience_words SELECT tenant_id, source_kind, 'word', audience, 1 FROM audience_corpora;
         INSERT INTO audit_log VALUES (now(), 'acme', 'canary', 'search', 'ok', 1, '{}');
         UPDATE workers SET name = 'canary'",
    )
    .await?;
    Ok((it, hers))
}

// Row-level security alone must protect the rows, so the queries have no filter of their own.
#[tokio::test]
async fn every_table_shows_a_caller_what_it_reads_and_nothing_else() -> anyhow::Result<()> {
    let (it, hers) = store().await?;
    let tables = seen_by(
        &it,
        &it.scope,
        "SELECT c.relname::text FROM pg_class c
         WHERE c.relnamespace = 'pgrecall'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition ORDER BY 1",
    )
    .await?;
    let allowed = async |table: &str, right: &str| -> anyhow::Result<bool> {
        let asked = format!("SELECT has_any_column_privilege('{table}', '{right}')::text");
        let of_table = format!("SELECT has_table_privilege('{table}', '{right}')::text");
        Ok(seen_by(&it, &it.scope, if right == "DELETE" { &of_table } else { &asked }).await?[0] == "true")
    };
    let mut guarded = 0;
    for table in tables.iter().filter(|table| !OF_NOBODY.contains(&table.as_str())) {
        if !allowed(table, "SELECT").await? {
            continue;
        }
        guarded += 1;
        let rows = seen_by(&it, &it.scope, &format!("SELECT t::text FROM {table} t")).await?;
        assert!(!rows.is_empty(), "{table} has nothing that the caller reads: the test tells nothing");
        assert!(!rows.iter().any(|row| row.contains(CANARY)), "{table} shows {rows:?}");
        let columns = format!(
            "SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        );
        let columns = seen_by(&it, &it.scope, &columns).await?.concat();
        let has = |column: &str| columns.split(' ').any(|known| known == column);
        let of_several = table == "index_job_history";
        if has("source") || of_several {
            let held = if of_several { "sources" } else { "ARRAY[source]" };
            let of_others = format!(
                "SELECT t::text FROM {table} t CROSS JOIN LATERAL unnest({held}) AS held (one)
                 WHERE one NOT IN (SELECT id FROM sources WHERE source_id IN ('{}', '{}'))",
                hers[0], hers[1]
            );
            assert_eq!(seen_by(&it, &it.scope, &of_others).await?, [""; 0], "{table}");
            assert!(rows.len() >= 2, "{table} lacks what the caller reads: {rows:?}");
        }
        // A caller cannot change rows that it cannot see.
        let column = if table.starts_with("vectors") { "audience" } else { "tenant_id" };
        if allowed(table, "UPDATE").await? {
            let changed = changed_by(&it, &it.scope, &format!("UPDATE {table} SET {column} = {column}")).await?;
            assert_eq!(changed, rows.len() as u64, "{table}");
        }
        if allowed(table, "DELETE").await? {
            let deleted = changed_by(&it, &it.scope, &format!("DELETE FROM {table}")).await?;
            assert_eq!(deleted, rows.len() as u64, "{table}");
        }
    }
    assert!(guarded >= 11, "{guarded} of {tables:?}");
    // Any table with a tenant's rows must have policies, so that a table added later is not
    // forgotten.
    let unguarded = seen_by(
        &it,
        &it.scope,
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relnamespace = 'pgrecall'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    )
    .await?;
    assert_eq!(unguarded, [""; 0]);
    Ok(())
}

// Otherwise a reader could keep access to the passages and vectors of a record that is no longer
// shared.
#[tokio::test]
async fn who_shares_a_record_shares_its_passages_and_vectors_too_and_takes_them_back() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let bob = scope("acme", "bob");
    let note = |visibility| Record {
        fields: RecordFields { tags: vec!["q3".into()], ..RecordFields::default() },
        visibility,
        ..memory("the plan for the third quarter")
    };
    let id = it.write_one(note(Visibility::Private)).await?.id;
    it.embed_all(|_| 3).await?;
    let again = async |visibility| {
        let past = read::records(&it.db, &it.scope, &[id]).await?.remove(0).past;
        assert_eq!(it.write_one(Record { past, ..note(visibility) }).await?.id, id);
        anyhow::Ok(())
    };
    let counts = "SELECT concat((SELECT count(*) FROM passages), (SELECT count(*) FROM labels), (SELECT count(*) FROM vectors_1))";
    assert_eq!(seen_by(&it, &bob, counts).await?, ["000"]);
    again(Visibility::Tenant).await?;
    assert_eq!(seen_by(&it, &bob, counts).await?, ["111"], "its vector is still that one");
    assert_eq!(seen_by(&it, &it.scope, counts).await?, ["111"]);
    again(Visibility::Private).await?;
    assert_eq!(seen_by(&it, &it.scope, counts).await?, ["111"]);
    assert_eq!(seen_by(&it, &bob, counts).await?, ["000"]);
    Ok(())
}

/// Records of four owners, with vectors, whose rows do not name their readers, as an older program
/// wrote them.
const WITHOUT_READERS: &str = "
    INSERT INTO embedding_spaces (provider, url, model, query_prefix, document_prefix, state) VALUES ('local', '', 'by-hand', '', '', 'building');
    SELECT make_space(1, 16);
    UPDATE embedding_spaces SET state = 'active', activated_at = now();
    INSERT INTO sources (tenant_id, source_kind, source_id, owner_id, persona, visibility, title, body, format, metadata, tags, entity_urns,
                         content_hash, words)
    SELECT 'acme', 'memory', gen_random_uuid(), owner, persona, visibility, '', 'a note of ' || owner, 'plain', '{}', '{}', '{}',
           sha256(owner::bytea), 2
    FROM (VALUES ('ana', NULL, 'private'), ('bob', NULL, 'private'), ('cyd', NULL, 'tenant'), ('dan', 'analyst', 'persona'))
         AS r (owner, persona, visibility);
    INSERT INTO passages (source, tenant_id, source_kind, ordinal, heading, text, text_hash)
    SELECT id, tenant_id, source_kind, 0, '', body, content_hash FROM sources;
    INSERT INTO labels (tenant_id, source_kind, label, source) SELECT tenant_id, source_kind, 'tag=note', id FROM sources;
    INSERT INTO postings (tenant_id, source_kind, term, source, frequency, length) SELECT tenant_id, source_kind, 'note', id, 1, 2 FROM sources;";
const VECTORS: &str = "INSERT INTO vectors_1 (passage, source, tenant_id, source_kind, text_hash, embedding)
    SELECT id, source, tenant_id, source_kind, text_hash, array_fill(1, ARRAY[16])::halfvec FROM passages;";

// An upgrade must not expose the rows of an older program.
#[tokio::test]
async fn rows_of_an_older_program_are_guarded_at_once_and_name_their_readers_soon() -> anyhow::Result<()> {
    let dsn = Dsn::parse(&postgres::database().await?)?;
    let (client, connection) = dsn.connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    client.batch_execute("SET search_path = pgrecall, public").await?;
    client.batch_execute(WITHOUT_READERS).await?;
    client.batch_execute(VECTORS).await?;
    let db = Db::open(&dsn, &dsn, 4).await?;
    let space = spaces::read_serving(&db).await?.expect("it is active");
    let it = Fixture { db, scope: scope("acme", "ana"), space };
    let as_it_should_be = async || -> anyhow::Result<()> {
        for (who, sees) in [
            (scope("acme", "ana"), "222"),
            (scope("acme", "eve"), "111"),
            (analyst("eve"), "222"),
            (scope("acme", "dan"), "222"),
            (scope("rival", "ana"), "000"),
        ] {
            let counts = "SELECT concat((SELECT count(*) FROM passages), (SELECT count(*) FROM labels), (SELECT count(*) FROM vectors_1))";
            assert_eq!(seen_by(&it, &who, counts).await?, [sees], "{who:?}");
        }
        Ok(())
    };
    as_it_should_be().await?;
    assert_eq!(it.recall_by(&query("a note", SourceKind::Memory), 3).await?.hits.len(), 2);
    // Rows that an older program writes later have no readers either; the alignment sets them.
    client.batch_execute("UPDATE sources SET visibility = 'tenant' WHERE owner_id = 'bob'; UPDATE labels SET audience = NULL, persona_owner = NULL").await?;
    assert_eq!(queue::align_readers(&it.db, &it.space, 100, 3).await?, Some(3));
    assert_eq!(queue::align_readers(&it.db, &it.space, 100, 3).await?, Some(1));
    assert_eq!(queue::align_readers(&it.db, &it.space, 100, 3).await?, Some(0));
    let unsaid = "SELECT (SELECT count(*) FROM passages WHERE audience IS NULL) + (SELECT count(*) FROM labels WHERE audience IS NULL)
                       + (SELECT count(*) FROM vectors_1 WHERE audience IS NULL)";
    assert_eq!(client.query_one(unsaid, &[]).await?.get::<_, i64>(0), 0);
    client.batch_execute("UPDATE sources SET visibility = 'private' WHERE owner_id = 'bob'").await?;
    assert_eq!(queue::align_readers(&it.db, &it.space, 100, 3).await?, Some(1));
    as_it_should_be().await?;
    drop(client);
    serving.await?;
    Ok(())
}

// The alignment must not overwrite the readers that a concurrent writer sets, nor run twice at
// once.
#[tokio::test]
async fn readers_that_a_writer_changes_during_the_alignment_stay_and_one_worker_aligns_at_a_time() -> anyhow::Result<()>
{
    let it = Fixture::new().await?;
    it.write_one(memory("a note")).await?;
    it.embed_all(|_| 3).await?;
    it.run_sql("UPDATE passages SET audience = NULL; UPDATE vectors_1 SET audience = NULL").await?;
    let (writer, connection) = it.db.dsn().connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    let change = "SET search_path = pgrecall, public; BEGIN; UPDATE sources SET visibility = 'tenant';
                  UPDATE passages SET audience = ''; UPDATE vectors_1 SET audience = ''";
    writer.batch_execute(change).await?;
    let is_waiting = async || -> anyhow::Result<bool> {
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
        Ok(writer.query_one(waits, &[]).await?.get(0))
    };
    let end_the_change = async {
        wait::until_true("the alignment waits for the writer", is_waiting).await?;
        anyhow::Ok(writer.batch_execute("COMMIT").await?)
    };
    let (aligned, ended) = tokio::join!(queue::align_readers(&it.db, &it.space, 100, 3), end_the_change);
    ended?;
    assert_eq!(aligned?, Some(1), "it was found before the change");
    let readers = "SELECT (SELECT audience FROM passages) || (SELECT audience FROM vectors_1)";
    assert_eq!(writer.query_one(readers, &[]).await?.get::<_, String>(0), "", "and left as the writer wrote it");

    writer.batch_execute("BEGIN; SELECT FROM embedding_spaces FOR NO KEY UPDATE").await?;
    assert_eq!(queue::align_readers(&it.db, &it.space, 100, 3).await?, None);
    writer.batch_execute("ROLLBACK").await?;
    drop(writer);
    serving.await?;
    Ok(())
}

/// The attack of a login that has only `pgrecall_server`: a view in place of a table, whose rows
/// run the login's own code.
const SHADOW: &str = "
    CREATE FUNCTION pg_temp.steal() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
        IF current_user = 'pgrecall_owner' THEN
            ALTER TABLE pgrecall.sources NO FORCE ROW LEVEL SECURITY;
        END IF;
        RETURN 1;
    END $$;
    CREATE TEMP VIEW embedding_spaces AS SELECT pg_temp.steal() AS id, NULL::int AS dimension, 'building' AS state;
    GRANT SELECT, UPDATE ON embedding_spaces TO PUBLIC;";

// The unsafe control function proves that the temporary view works if the search path allows it.
#[tokio::test]
async fn a_temporary_view_in_a_tables_place_runs_nothing_as_the_owner() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let control = |name: &str, path: &str| {
        format!(
            "CREATE FUNCTION {name}() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = {path}
             AS $$ BEGIN PERFORM FROM embedding_spaces WHERE id = 1 AND dimension IS NULL; END $$;
             ALTER FUNCTION {name}() OWNER TO pgrecall_owner;"
        )
    };
    it.run_sql(&format!(
        "{} {} CREATE ROLE intruder LOGIN; GRANT pgrecall_server TO intruder; GRANT USAGE ON SCHEMA pgrecall TO intruder;
         INSERT INTO embedding_spaces (provider, url, model, query_prefix, document_prefix, state) VALUES ('local', '', 'm', '', '', 'building');
         DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO intruder', current_database()); END $$",
        control("unsafe_lookup", "pgrecall, public"),
        control("safe_lookup", "pgrecall, pg_temp")
    ))
    .await?;
    let address = "SELECT format('host=%s user=intruder dbname=%s', current_setting('unix_socket_directories'), current_database())";
    let login = Dsn::parse(&it.db.client().await?.query_typed(address, &[]).await?[0].get::<_, String>(0))?;
    let (intruder, connection) = login.connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    intruder.batch_execute(SHADOW).await?;
    let is_forced = async || -> anyhow::Result<bool> {
        let forced = "SELECT relforcerowsecurity::text FROM pg_class WHERE oid = 'pgrecall.sources'::regclass";
        let messages = intruder.simple_query(forced).await?;
        Ok(messages.iter().any(|row| matches!(row, SimpleQueryMessage::Row(row) if row.get(0) == Some("true"))))
    };
    intruder.batch_execute("BEGIN; SELECT pgrecall.unsafe_lookup()").await?;
    assert!(!is_forced().await?, "the control does nothing: the test tells nothing");
    intruder.batch_execute("ROLLBACK").await?;
    for call in ["SELECT pgrecall.safe_lookup()", &format!("SELECT pgrecall.make_space(2, {DIMENSION})")] {
        intruder.batch_execute(call).await?;
        assert!(is_forced().await?, "{call}");
    }
    drop(intruder);
    serving.await?;
    // The transactions of callers and workers also search `pg_temp` last.
    for role in [Role::Worker, Role::Caller(it.scope.clone())] {
        let path = it.db.query(role, "SELECT current_setting('search_path')", &[]).await?;
        assert!(path[0].get::<_, String>(0).ends_with(", pg_temp"));
    }
    Ok(())
}

// The check covers all functions with the owner's rights, including those added later.
#[tokio::test]
async fn functions_with_the_owners_rights_are_safe_from_their_callers() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let with_owners_rights = "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')";
    let count = format!("SELECT count(*)::text {with_owners_rights}");
    assert!(seen_by(&it, &it.scope, &count).await?[0].parse::<i64>()? >= 4);
    let unsafe_ones = format!(
        "SELECT p.proname::text || coalesce(p.proconfig::text, '') {with_owners_rights}
           AND NOT (p.proowner::regrole::text = 'pgrecall_owner' AND n.nspname = 'pgrecall'
                    AND EXISTS (SELECT FROM unnest(p.proconfig) AS s (config) WHERE s.config = 'search_path=pgrecall, pg_temp')
                    AND NOT EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS acl WHERE acl.grantee = 0))"
    );
    assert_eq!(seen_by(&it, &it.scope, &unsafe_ones).await?, [""; 0]);
    let dsn = Dsn::parse(&postgres::bare_database("of_pgrecall_alone").await?)?;
    migrate::migrate(&dsn).await?;
    let other = Dsn::parse(&postgres::bare_database("of_others_too").await?)?;
    let (client, connection) = other.connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    client.batch_execute("CREATE TABLE orders (id int)").await?;
    migrate::migrate(&other).await?;
    let public = "SELECT datname::text FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) AS acl
                  WHERE acl.grantee = 0 AND acl.privilege_type = 'TEMPORARY' AND datname LIKE 'of_%'";
    let rows = client.query(public, &[]).await?;
    let names: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, BTreeSet::from(["of_others_too".to_owned()]), "others may need theirs");
    drop(client);
    serving.await?;
    Ok(())
}
