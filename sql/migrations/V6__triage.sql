-- Triage: what fails now and has not recovered, in one row a unit, apart from the jobs.
--
-- A job's row is rewritten at every claim and gone at its success; what went wrong has to outlive both, and no claim should carry it.

CREATE TABLE failures (
    source          bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    space           int NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    tenant_id       text NOT NULL,
    source_kind     text NOT NULL,
    error_class     text NOT NULL,
    last_error      text NOT NULL,
    -- Since it last worked.
    occurrences     int NOT NULL CHECK (occurrences > 0),
    first_failed_at timestamptz NOT NULL,
    last_failed_at  timestamptz NOT NULL,
    -- When it worked again, in the transaction that stored its last vector; and when it last did before it failed anew.
    resolved_at     timestamptz,
    last_success_at timestamptz,
    -- When a person said that it may stay as it is.
    dismissed_at    timestamptz,
    PRIMARY KEY (source, space)
);
CREATE INDEX failures_open ON failures (tenant_id, last_failed_at DESC) WHERE resolved_at IS NULL AND dismissed_at IS NULL;

-- How long a unit is left alone that has failed for the `parked`th time in a row: half an hour, doubling up to six.
CREATE FUNCTION parking_time(parked int) RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN least(interval '30 minutes' * 2 ^ least(greatest(parked - 1, 0), 10), interval '6 hours');

-- The owner, who migrates, has no policy and sees no row while row-level security is forced.
ALTER TABLE index_jobs NO FORCE ROW LEVEL SECURITY;
INSERT INTO failures (source, space, tenant_id, source_kind, error_class, last_error, occurrences, first_failed_at, last_failed_at)
SELECT source, space, tenant_id, source_kind, coalesce(error_class, 'refused'), last_error, greatest(occurrences, 1),
       coalesce(failed_at, created_at), coalesce(failed_at, created_at)
FROM index_jobs WHERE last_error IS NOT NULL;

-- The jobs. A claim changes no indexed column any more, so that Postgres writes the new version of the row beside the old one and touches
-- no index (HOT): whether a job is ready is told by `next_run_at` alone, NULL for ready or running, `infinity` for dismissed, which waits for a
-- person. Running jobs stay in the claim's index and are passed over; the claimer's mark has them behind it.
ALTER TABLE index_jobs
    -- Times in a row that its attempts ran out: it is failed, and left alone until `next_run_at`.
    ADD COLUMN parked int NOT NULL DEFAULT 0 CHECK (parked >= 0),
    -- When the call began that holds this job alone. Only jobs that are suspected of killing their worker are called alone.
    ADD COLUMN called_at timestamptz,
    -- Whether vectors that are there already are made anew.
    ADD COLUMN forced boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT failed_says_why,
    DROP CONSTRAINT only_pending_waits,
    DROP COLUMN occurrences, DROP COLUMN error_class, DROP COLUMN last_error, DROP COLUMN failed_at,
    -- A job of a source that is gone is harmless: it finds no passage, and ends. These keys cost a query each at every enqueue, half of the
    -- time that it takes, and a lock that is written to the log. Forgetting deletes the jobs beside their sources, and the reaper and
    -- `leave` take a worker's jobs before they delete its row.
    DROP CONSTRAINT index_jobs_source_fkey, DROP CONSTRAINT index_jobs_space_fkey, DROP CONSTRAINT index_jobs_worker_fkey,
    -- Claims put a second version on the page, and a vacuum takes the first one away.
    SET (fillfactor = 45);
-- The attempt was counted at the claim; now it is counted when it fails.
UPDATE index_jobs SET attempts = greatest(attempts - 1, 0) WHERE status = 'running';
UPDATE index_jobs SET parked = 1, next_run_at = clock_timestamp() + parking_time(1) WHERE status = 'failed';
ALTER TABLE index_jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE index_jobs
    ADD CONSTRAINT running_does_not_wait CHECK (next_run_at IS NULL OR status <> 'running'),
    ADD CONSTRAINT failed_waits CHECK (status <> 'failed' OR next_run_at IS NOT NULL),
    ADD CONSTRAINT only_running_is_called CHECK (called_at IS NULL OR status = 'running');
GRANT DELETE ON index_jobs TO pgrecall_server;

-- Reading all open jobs is what the counts do in any case, and what a reaper does only when a worker has died.
DROP INDEX index_jobs_ready, index_jobs_delayed, index_jobs_by_kind, index_jobs_running;
CREATE INDEX index_jobs_ready ON index_jobs (space, order_key, id) WHERE next_run_at IS NULL;
CREATE INDEX index_jobs_delayed ON index_jobs (next_run_at) WHERE next_run_at IS NOT NULL;

ALTER TABLE index_job_history DROP COLUMN occurrences, DROP COLUMN last_error;
-- How fast the work goes, of the last minutes: rows lie in the order of their time.
CREATE INDEX index_job_history_by_time ON index_job_history USING brin (finished_at);

-- How far the reconciler has come in its round through the passages. One round for all workers together.
ALTER TABLE embedding_spaces ADD COLUMN reconciled_to bigint NOT NULL DEFAULT 0;

ALTER TABLE failures ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON failures TO pgrecall_worker USING (true) WITH CHECK (true);
CREATE POLICY own_tenant ON failures TO pgrecall_server USING (tenant_id = current_setting('pgrecall.tenant'));
GRANT SELECT, UPDATE ON failures TO pgrecall_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON failures TO pgrecall_worker;

-- For people with psql, and for `mcp-server failures`: what fails, why, since when, and what becomes of it.
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
