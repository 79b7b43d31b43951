-- The queue: index jobs, the workers that hold them, the history of what is finished, and what fails.

-- One lease row a worker process. A heartbeat stamps this row and none of the jobs that point at it.
CREATE TABLE workers (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL,
    -- Whether the worker holds a session lock on its id. A lock that is free then means that its worker is dead, lease or no lease.
    locked      boolean NOT NULL,
    -- What it says of its embedder: ok, waiting, down or disabled, and why.
    embedder    text NOT NULL DEFAULT 'waiting' CHECK (embedder IN ('ok', 'waiting', 'down', 'disabled')),
    reason      text
);

-- Checked where a value is made, and not again with each change of the row, as a constraint of the table would be.
CREATE DOMAIN job_trigger AS text CHECK (VALUE IN ('write', 'reconcile', 'rebuild', 'manual'));

-- A job is a unit: a source in a space. Without a number of its own it has one index less to be written at every enqueue. The columns are in the order
-- of their change, so that a claim logs what it changed and little else. There are no foreign keys: a job of a source that is gone is harmless, finds no
-- passage and ends, while each key costs a query at every enqueue.
CREATE TABLE index_jobs (
    source       bigint NOT NULL,
    -- The time of enqueue plus a handicap by trigger: a priority that ages and stays indexable.
    order_key    timestamptz NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    space        int NOT NULL,
    items_total  int NOT NULL,
    -- Grows with each enqueue; a worker that began on an older value runs again.
    wanted       int NOT NULL DEFAULT 1,
    -- Tries of the present text that failed, workers that died with it, times in a row that its attempts ran out.
    attempts     int NOT NULL DEFAULT 0,
    crash_count  int NOT NULL DEFAULT 0,
    parked       int NOT NULL DEFAULT 0,
    -- What a claim changes. None of it is indexed, so that Postgres writes the new version of the row next to the old one and touches no index (HOT).
    worker       bigint,
    lease_token  bigint,
    started_at   timestamptz,
    items_done   int NOT NULL DEFAULT 0,
    status       text NOT NULL DEFAULT 'pending',
    -- Whether vectors that are there already are made again.
    forced       boolean NOT NULL DEFAULT false,
    -- NULL: ready, or running. `infinity`: dismissed, which waits for a person.
    next_run_at  timestamptz,
    -- When the call began that holds this job alone. Only jobs that are suspected of killing their worker are called alone.
    called_at    timestamptz,
    trigger_kind job_trigger NOT NULL,
    source_kind  text NOT NULL,
    tenant_id    text NOT NULL,
    -- The trace that the job continues, of the request that wrote its text, and the span in it that enqueued.
    trace_id     uuid,
    span_id      bigint,
    CONSTRAINT index_jobs_unit PRIMARY KEY (source, space),
    -- Keeps out a job in limbo: one without a holder that is neither ready nor has a time, or one that is held without a holder. Every statement that
    -- writes a job reads this again, word by word: it says no more than it must.
    CONSTRAINT status_tells_the_rest CHECK (
        (lease_token IS NULL) = (worker IS NULL)
        AND CASE WHEN lease_token IS NULL THEN status = 'pending' OR next_run_at IS NOT NULL ELSE status = 'running' END)
    -- Claims put a second version on the page, and a vacuum takes the first one away.
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
-- The claim's way: ready jobs only, since delayed and failed rows would be scanned past at every claim. Running jobs are skipped; the claimer's
-- watermark has them behind it.
CREATE INDEX index_jobs_ready ON index_jobs (space, order_key, source) WHERE next_run_at IS NULL;
CREATE INDEX index_jobs_delayed ON index_jobs (next_run_at) WHERE next_run_at IS NOT NULL;

-- Lease tokens of older programs. A worker makes its tokens at random.
CREATE SEQUENCE lease_tokens;

-- One row for the jobs that ended together: a row for each was a fifth of what a job writes to the log.
CREATE TABLE index_job_history (
    tenant_id    text NOT NULL,
    source_kind  text NOT NULL,
    sources      bigint[] NOT NULL,
    space        int NOT NULL,
    trigger_kind text NOT NULL,
    attempts     int NOT NULL,
    items        int NOT NULL,
    created_at   timestamptz NOT NULL,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (finished_at);
COMMENT ON COLUMN index_job_history.attempts IS 'Tries of all these jobs together.';
COMMENT ON COLUMN index_job_history.created_at IS 'When the one that waited longest was enqueued.';
-- A row finds a place even when no worker made its day's partition yet.
CREATE TABLE index_job_history_rest PARTITION OF index_job_history DEFAULT;
-- The throughput of the last minutes: rows lie in the order of their time.
CREATE INDEX index_job_history_by_time ON index_job_history USING brin (finished_at);

-- Makes the partitions of today and tomorrow, and drops those whose last day is older than the retention. Returns how many it dropped. Runs as the
-- owner: the programs' roles make and drop no tables. Both need a lock on the whole history that waits for every reader of it, and every settle waits
-- behind it, with its jobs locked: they give up soon. Tomorrow's partition has a day of hours to be made in, and a day without one stays in the rest.
CREATE FUNCTION rotate_history(retention_days int) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pgrecall, pg_temp SET timezone = 'UTC' SET lock_timeout = '500ms'
AS $$
DECLARE
    day       date;
    partition text;
    dropped   int := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('pgrecall.rotate_history')) THEN
        RETURN 0;
    END IF;
    FOR day IN SELECT current_date + n FROM generate_series(0, 1) n LOOP
        partition := 'index_job_history_' || to_char(day, 'YYYYMMDD');
        -- Rows that fell into the rest before the partition was made would block it: that day then stays in the rest.
        IF to_regclass(partition) IS NULL
            AND NOT EXISTS (SELECT FROM index_job_history_rest WHERE finished_at >= day AND finished_at < day + 1) THEN
            BEGIN
                EXECUTE format('CREATE TABLE %I PARTITION OF index_job_history FOR VALUES FROM (%L) TO (%L)', partition, day, day + 1);
            EXCEPTION WHEN lock_not_available THEN
                NULL;
            END;
        END IF;
    END LOOP;
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'index_job_history'::regclass AND c.relname ~ '^index_job_history_\d{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - retention_days
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %I', partition);
            dropped := dropped + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    DELETE FROM index_job_history_rest WHERE finished_at < current_date - retention_days;
    RETURN dropped;
END
$$;

-- What fails now and has not recovered, in one row a unit. A job's row is rewritten at every claim and gone at its success; what went wrong has to
-- outlive both, and no claim should carry it.
CREATE TABLE failures (
    source          bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    space           int NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    tenant_id       text NOT NULL,
    source_kind     text NOT NULL,
    error_class     text NOT NULL,
    last_error      text NOT NULL,
    -- Since the last success.
    occurrences     int NOT NULL CHECK (occurrences > 0),
    first_failed_at timestamptz NOT NULL,
    last_failed_at  timestamptz NOT NULL,
    -- When it succeeded again, in the transaction that stored its last vector; and when it last did before it failed again.
    resolved_at     timestamptz,
    last_success_at timestamptz,
    -- When a person said that it may stay as it is.
    dismissed_at    timestamptz,
    PRIMARY KEY (source, space)
);
CREATE INDEX failures_open ON failures (tenant_id, last_failed_at DESC) WHERE resolved_at IS NULL AND dismissed_at IS NULL;

-- How long a unit waits that has run out of attempts for the `parked`th time in a row: half an hour, doubling up to six.
CREATE FUNCTION parking_time(parked int) RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN least(interval '30 minutes' * 2 ^ least(greatest(parked - 1, 0), 10), interval '6 hours');

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
