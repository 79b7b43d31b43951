-- Who may do what. A server sees the rows of its caller's tenant and, of those, what the caller may see; a worker sees every tenant
-- but writes no source. `current_setting` without a default fails when no scope was set: a forgotten scope is an error, not a leak.

GRANT USAGE ON SCHEMA pgrecall TO pgrecall_server, pgrecall_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA pgrecall TO pgrecall_server, pgrecall_worker;
GRANT SELECT ON refinery_schema_history TO pgrecall_server, pgrecall_worker;

GRANT SELECT, INSERT, UPDATE, DELETE ON sources, passages, postings, labels TO pgrecall_server;
GRANT SELECT, INSERT, UPDATE ON index_jobs TO pgrecall_server;
GRANT SELECT ON word_stats, corpus_stats, workers, index_job_history TO pgrecall_server;
GRANT SELECT, INSERT, UPDATE ON embedding_spaces TO pgrecall_server, pgrecall_worker;

GRANT SELECT ON sources, passages, postings TO pgrecall_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON index_jobs, workers, word_stats, corpus_stats TO pgrecall_worker;
GRANT SELECT, INSERT ON index_job_history TO pgrecall_worker;

REVOKE EXECUTE ON FUNCTION make_space(int, int), rotate_history(int), refresh_planner_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_space(int, int) TO pgrecall_server, pgrecall_worker;
GRANT EXECUTE ON FUNCTION rotate_history(int), refresh_planner_statistics() TO pgrecall_worker;

DO $$
DECLARE
    of_a_tenant text;
BEGIN
    FOREACH of_a_tenant IN ARRAY ARRAY['sources', 'passages', 'postings', 'labels', 'word_stats', 'corpus_stats', 'index_jobs',
                                       'index_job_history'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', of_a_tenant);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO pgrecall_worker USING (true) WITH CHECK (true)', of_a_tenant);
        IF of_a_tenant <> 'sources' THEN
            EXECUTE format($sql$
                CREATE POLICY own_tenant ON %I TO pgrecall_server
                USING (tenant_id = current_setting('pgrecall.tenant'))$sql$, of_a_tenant);
        END IF;
    END LOOP;
END
$$;

CREATE POLICY own_tenant_and_visible ON sources TO pgrecall_server
    USING (tenant_id = current_setting('pgrecall.tenant')
           AND (visibility = 'tenant'
                OR owner_id = current_setting('pgrecall.owner')
                OR (visibility = 'persona' AND persona = current_setting('pgrecall.persona'))));
