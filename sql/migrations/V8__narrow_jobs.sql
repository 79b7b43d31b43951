-- The queue's table anew. A job is one unit, a source in a space, and that is its name: without a number of its own it has one index less to
-- be written at every enqueue. The columns are in the order of their change, so that a claim logs what it changed and little else.

-- Before the table: whoever reads the view locks it first as well.
DROP VIEW triage;
ALTER TABLE index_jobs NO FORCE ROW LEVEL SECURITY;
-- Checked where a value is made, and not again with each change of the row, as a constraint of the table would be.
CREATE DOMAIN job_trigger AS text CHECK (VALUE IN ('write', 'reconcile', 'rebuild', 'manual'));
CREATE TABLE index_jobs_anew (
    source       bigint NOT NULL,
    -- The time of enqueue plus a handicap by trigger: a priority that ages by itself and stays indexable.
    order_key    timestamptz NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    space        int NOT NULL,
    items_total  int NOT NULL,
    -- What is wanted grows with each enqueue; a worker that began on an older one runs again.
    wanted       int NOT NULL DEFAULT 1,
    -- Tries of the present text that failed, workers that died with it, times in a row that its attempts ran out.
    attempts     int NOT NULL DEFAULT 0,
    crash_count  int NOT NULL DEFAULT 0,
    parked       int NOT NULL DEFAULT 0,
    -- What a claim changes.
    worker       bigint,
    lease_token  bigint,
    started_at   timestamptz,
    items_done   int NOT NULL DEFAULT 0,
    status       text NOT NULL DEFAULT 'pending',
    -- Whether vectors that are there already are made anew.
    forced       boolean NOT NULL DEFAULT false,
    -- NULL: ready, or running. `infinity`: dismissed, which waits for a person.
    next_run_at  timestamptz,
    -- When the call began that holds this job alone. Only jobs that are suspected of killing their worker are called alone.
    called_at    timestamptz,
    trigger_kind job_trigger NOT NULL,
    source_kind  text NOT NULL,
    tenant_id    text NOT NULL,
    CONSTRAINT index_jobs_unit PRIMARY KEY (source, space),
    CONSTRAINT counts_are_counts CHECK (least(attempts, crash_count, parked) >= 0),
    -- A constraint is read anew by every statement that changes a row: two are cheaper than eight.
    CONSTRAINT status_tells_the_rest CHECK (CASE
        WHEN status = 'running' THEN worker IS NOT NULL AND lease_token IS NOT NULL AND next_run_at IS NULL
        WHEN status = 'pending' OR (status = 'failed' AND next_run_at IS NOT NULL)
            THEN worker IS NULL AND lease_token IS NULL AND called_at IS NULL
        ELSE false END)
    -- Claims put a second version on the page, and a vacuum takes the first one away.
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

-- What runs goes back to the queue: a program of the version before cannot end it any more.
INSERT INTO index_jobs_anew (source, order_key, created_at, space, items_total, wanted, attempts, crash_count, parked, items_done,
                             status, forced, next_run_at, trigger_kind, source_kind, tenant_id)
SELECT source, order_key, created_at, space, items_total, wanted, attempts, crash_count, parked, items_done,
       CASE status WHEN 'running' THEN 'pending' ELSE status END, forced, next_run_at, trigger_kind, source_kind, tenant_id
FROM index_jobs;
DROP TABLE index_jobs;
ALTER TABLE index_jobs_anew RENAME TO index_jobs;
-- The claim's way. A claim changes none of these columns, so that Postgres writes the new version of the row beside the old one and touches
-- no index (HOT); what runs is passed over, and the claimer's mark has it behind it.
CREATE INDEX index_jobs_ready ON index_jobs (space, order_key, source) WHERE next_run_at IS NULL;
CREATE INDEX index_jobs_delayed ON index_jobs (next_run_at) WHERE next_run_at IS NOT NULL;
ALTER TABLE index_jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON index_jobs TO pgrecall_worker USING (true) WITH CHECK (true);
-- The setting is read once a statement, and not once a row.
CREATE POLICY own_tenant ON index_jobs TO pgrecall_server USING (tenant_id = (SELECT current_setting('pgrecall.tenant')));
GRANT SELECT, INSERT, UPDATE, DELETE ON index_jobs TO pgrecall_server, pgrecall_worker;

-- One row for the jobs that ended together. A row of its own was a fifth of what a job writes to the log.
ALTER TABLE index_job_history DROP COLUMN job, ALTER COLUMN source TYPE bigint[] USING ARRAY[source];
ALTER TABLE index_job_history RENAME COLUMN source TO sources;
COMMENT ON COLUMN index_job_history.attempts IS 'Tries of all these jobs together.';
COMMENT ON COLUMN index_job_history.created_at IS 'When the one that waited longest was enqueued.';

-- As in V6.
CREATE VIEW triage WITH (security_invoker = true) AS
SELECT f.tenant_id, f.source_kind, s.source_id, s.key, s.title, f.space, f.error_class, f.last_error, f.occurrences,
       coalesce(j.attempts, 0) AS attempts, coalesce(j.crash_count, 0) AS crash_count, f.first_failed_at, f.last_failed_at,
       f.last_success_at, f.resolved_at, f.dismissed_at,
       CASE WHEN j.status = 'failed' THEN nullif(j.next_run_at, 'infinity') END AS parked_until,
       CASE WHEN j.status = 'pending' THEN j.next_run_at END AS retry_at,
       CASE
           WHEN f.resolved_at IS NOT NULL THEN 'resolved'
           WHEN f.dismissed_at IS NOT NULL THEN 'dismissed'
           WHEN j.status = 'failed' THEN 'parked'
           ELSE 'retrying'
       END AS state,
       f.source
FROM failures f
JOIN sources s ON s.id = f.source
LEFT JOIN index_jobs j ON j.source = f.source AND j.space = f.space;
GRANT SELECT ON triage TO pgrecall_server, pgrecall_worker;
