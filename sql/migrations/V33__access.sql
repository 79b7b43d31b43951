-- Access: what each role may do, and which rows it sees.
--
-- A server sees the rows of its caller's tenant and, of those, what the caller may read. A worker sees every tenant and writes no source.
-- `current_setting` without a default fails when no scope was set: a forgotten scope is an error, not a leak. Inside a subquery it is read once a
-- statement, and not once a row. The owner, who migrates, has no policy and sees no row while row-level security is forced.

GRANT USAGE ON SCHEMA pgrecall TO pgrecall_server, pgrecall_worker;
GRANT USAGE ON SEQUENCE sources_id_seq, passages_id_seq, embedding_spaces_id_seq, workers_id_seq, lease_tokens TO pgrecall_server, pgrecall_worker;
GRANT SELECT ON refinery_schema_history TO pgrecall_server, pgrecall_worker;

GRANT SELECT, INSERT, UPDATE, DELETE ON
    sources, passages, postings, labels, index_jobs, forgotten_sources, ingested_files, file_sources TO pgrecall_server;
GRANT SELECT, INSERT, DELETE ON source_versions TO pgrecall_server;
GRANT SELECT, INSERT, UPDATE ON embedding_spaces TO pgrecall_server;
GRANT SELECT, UPDATE ON failures TO pgrecall_server;
GRANT SELECT ON word_stats, corpus_stats, audience_corpora, audience_words, index_job_history, triage TO pgrecall_server;
GRANT SELECT, INSERT, UPDATE (last_used_at, revoked_at, expires_at, replaced_at) ON api_keys TO pgrecall_server;

GRANT SELECT, INSERT, UPDATE, DELETE ON
    index_jobs, workers, failures, word_stats, corpus_stats, audience_corpora, audience_words TO pgrecall_worker;
GRANT SELECT, INSERT, UPDATE ON embedding_spaces TO pgrecall_worker;
GRANT SELECT, INSERT ON index_job_history, audit_log TO pgrecall_worker;
GRANT SELECT, DELETE ON forgotten_sources, source_versions TO pgrecall_worker;
GRANT SELECT ON sources, passages, postings, labels, triage TO pgrecall_worker;
-- The reconciler aligns the readers of a row with those of its source.
GRANT UPDATE (audience, persona_owner) ON passages, labels TO pgrecall_worker;
GRANT SELECT (secret) ON installation TO pgrecall_worker;

-- No policy of the server's role on workers and the audit log: the name of a worker is its host and process, and the audit is about everybody's calls.

REVOKE EXECUTE ON FUNCTION make_space(int, int), drop_retired_spaces(interval), rotate_history(int), refresh_planner_statistics(), drop_old_audit(int)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_space(int, int) TO pgrecall_server;
GRANT EXECUTE ON FUNCTION make_space(int, int), drop_retired_spaces(interval), rotate_history(int), refresh_planner_statistics(), drop_old_audit(int)
    TO pgrecall_worker;

DO $$
DECLARE
    of_a_tenant text;
BEGIN
    FOREACH of_a_tenant IN ARRAY ARRAY[
        'sources', 'passages', 'postings', 'labels', 'word_stats', 'corpus_stats', 'audience_corpora', 'audience_words', 'index_jobs',
        'index_job_history', 'failures', 'forgotten_sources', 'source_versions', 'ingested_files', 'file_sources', 'api_keys', 'audit_log']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', of_a_tenant);
    END LOOP;
    FOREACH of_a_tenant IN ARRAY ARRAY[
        'sources', 'passages', 'postings', 'labels', 'word_stats', 'corpus_stats', 'audience_corpora', 'audience_words', 'index_jobs',
        'index_job_history', 'failures', 'audit_log']
    LOOP
        EXECUTE format('CREATE POLICY every_tenant ON %I TO pgrecall_worker USING (true) WITH CHECK (true)', of_a_tenant);
    END LOOP;
    FOREACH of_a_tenant IN ARRAY ARRAY['postings', 'word_stats', 'corpus_stats'] LOOP
        EXECUTE format('CREATE POLICY own_tenant ON %I TO pgrecall_server USING (tenant_id = current_setting(''pgrecall.tenant''))', of_a_tenant);
    END LOOP;
    FOREACH of_a_tenant IN ARRAY ARRAY['passages', 'labels'] LOOP
        EXECUTE format($sql$
            CREATE POLICY own_tenant_and_visible ON %I TO pgrecall_server
            USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
                   AND (audience = (SELECT 'owner ' || current_setting('pgrecall.owner'))
                        OR audience = ''
                        OR audience = (SELECT 'persona ' || current_setting('pgrecall.persona'))
                        OR persona_owner = (SELECT current_setting('pgrecall.owner'))
                        OR (audience IS NULL AND may_read(source))))$sql$, of_a_tenant);
    END LOOP;
    FOREACH of_a_tenant IN ARRAY ARRAY['audience_corpora', 'audience_words'] LOOP
        EXECUTE format($sql$
            CREATE POLICY own_tenant_and_visible ON %I TO pgrecall_server
            USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
                   AND (audience = (SELECT 'owner ' || current_setting('pgrecall.owner'))
                        OR audience = ''
                        OR audience = (SELECT 'persona ' || current_setting('pgrecall.persona'))))$sql$, of_a_tenant);
    END LOOP;
    FOREACH of_a_tenant IN ARRAY ARRAY['sources', 'forgotten_sources'] LOOP
        EXECUTE format($sql$
            CREATE POLICY own_tenant_and_visible ON %I TO pgrecall_server
            USING (tenant_id = current_setting('pgrecall.tenant')
                   AND (visibility = 'tenant'
                        OR owner_id = current_setting('pgrecall.owner')
                        OR (visibility = 'persona' AND persona = current_setting('pgrecall.persona'))))$sql$, of_a_tenant);
    END LOOP;
    -- Tables with few rows, or with rows that are looked up one by one, ask for the source. An embedder's message may quote the text that it refused.
    FOREACH of_a_tenant IN ARRAY ARRAY['failures', 'file_sources'] LOOP
        EXECUTE format($sql$
            CREATE POLICY own_tenant_and_visible ON %I TO pgrecall_server
            USING (tenant_id = (SELECT current_setting('pgrecall.tenant')) AND EXISTS (SELECT FROM sources s WHERE s.id = source))$sql$, of_a_tenant);
    END LOOP;
END
$$;

CREATE POLICY every_tenant ON forgotten_sources TO pgrecall_worker USING (true);
CREATE POLICY every_tenant ON source_versions TO pgrecall_worker USING (true);

-- An open job tells how much others write.
CREATE POLICY own_tenant_and_visible ON index_jobs TO pgrecall_server
    USING (tenant_id = (SELECT current_setting('pgrecall.tenant')) AND EXISTS (SELECT FROM sources s WHERE s.id = source))
    WITH CHECK (tenant_id = (SELECT current_setting('pgrecall.tenant')));
-- A row of the history is about several jobs: it is shown to a caller who may read all of their sources.
CREATE POLICY own_tenant_and_visible ON index_job_history TO pgrecall_server
    USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
           AND NOT EXISTS (SELECT FROM unnest(sources) AS held (source)
                           WHERE NOT EXISTS (SELECT FROM sources s WHERE s.id = held.source)));
-- A version may have had more readers than its record has now. Besides the owner, it is shown to those who read the record or could restore it.
CREATE POLICY own_tenant_and_visible ON source_versions TO pgrecall_server
    USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
           AND (owner_id = (SELECT current_setting('pgrecall.owner'))
                OR ((visibility = 'tenant' OR (visibility = 'persona' AND persona = (SELECT current_setting('pgrecall.persona'))))
                    AND (EXISTS (SELECT FROM sources s
                                 WHERE s.tenant_id = source_versions.tenant_id AND s.source_id = source_versions.source_id)
                         OR EXISTS (SELECT FROM forgotten_sources f
                                    WHERE f.tenant_id = source_versions.tenant_id AND f.source_id = source_versions.source_id)))));
-- A path is its owner's. Another's file is shown where it holds a record that the caller reads: before that record is deleted because the caller's file
-- no longer holds it, the program has to know whether another file does.
CREATE POLICY own_or_with_visible_sources ON ingested_files TO pgrecall_server
    USING (tenant_id = current_setting('pgrecall.tenant')
           AND (owner_id = current_setting('pgrecall.owner') OR EXISTS (SELECT FROM file_sources h WHERE h.file = id)))
    WITH CHECK (tenant_id = current_setting('pgrecall.tenant'));

CREATE POLICY own_tenant ON api_keys TO pgrecall_server USING (tenant_id = (SELECT current_setting('pgrecall.tenant')));
-- Who is asking is known only when the key was found, whatever its tenant: a caller who knows a key's hash may see that one row.
CREATE POLICY by_its_hash ON api_keys FOR SELECT TO pgrecall_server
    USING (key_hash = (SELECT decode(current_setting('pgrecall.key_hash', true), 'hex')));
CREATE POLICY used ON api_keys FOR UPDATE TO pgrecall_server
    USING (key_hash = (SELECT decode(current_setting('pgrecall.key_hash', true), 'hex')));

CREATE POLICY own_tenant ON audit_log TO pgrecall_server USING (tenant_id = (SELECT current_setting('pgrecall.tenant')));
-- The owner's policies state the minimum age of what is deleted, so that a later change of drop_old_audit() cannot delete more.
CREATE POLICY old_entries ON audit_log FOR SELECT TO pgrecall_owner USING (at < now() - interval '7 days');
CREATE POLICY old_entries_end ON audit_log FOR DELETE TO pgrecall_owner USING (at < now() - interval '7 days');
