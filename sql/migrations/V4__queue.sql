-- The queue: index jobs, the workers that hold them, and the history of what is finished.

CREATE SEQUENCE lease_tokens;

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

CREATE TABLE index_jobs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    text NOT NULL,
    source_kind  text NOT NULL,
    source       bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    space        int NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    trigger_kind text NOT NULL CHECK (trigger_kind IN ('write', 'reconcile', 'rebuild', 'manual')),
    -- The time of enqueue plus a handicap by trigger: a priority that ages by itself and stays indexable.
    order_key    timestamptz NOT NULL,
    status       text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'failed')),
    -- What is wanted grows with each enqueue; a worker that began on an older one runs again.
    wanted       int NOT NULL DEFAULT 1,
    attempts     int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    crash_count  int NOT NULL DEFAULT 0 CHECK (crash_count >= 0),
    occurrences  int NOT NULL DEFAULT 0 CHECK (occurrences >= 0),
    error_class  text,
    last_error   text,
    next_run_at  timestamptz,
    worker       bigint REFERENCES workers ON DELETE RESTRICT,
    lease_token  bigint,
    items_done   int NOT NULL DEFAULT 0,
    items_total  int NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at   timestamptz,
    failed_at    timestamptz,
    UNIQUE (source, space),
    CONSTRAINT running_is_leased CHECK ((status = 'running') = (worker IS NOT NULL)
        AND (status = 'running') = (lease_token IS NOT NULL)),
    CONSTRAINT failed_says_why CHECK (status <> 'failed' OR (last_error IS NOT NULL AND failed_at IS NOT NULL)),
    CONSTRAINT only_pending_waits CHECK (next_run_at IS NULL OR status = 'pending')
);
-- The claim's way: ready jobs only. Delayed and failed rows would be scanned past at every claim.
CREATE INDEX index_jobs_ready ON index_jobs (space, order_key, id) WHERE status = 'pending' AND next_run_at IS NULL;
CREATE INDEX index_jobs_delayed ON index_jobs (next_run_at) WHERE status = 'pending' AND next_run_at IS NOT NULL;
CREATE INDEX index_jobs_running ON index_jobs (worker) WHERE status = 'running';
CREATE INDEX index_jobs_by_kind ON index_jobs (tenant_id, source_kind, status);
-- Rows change status many times; room on each page and an eager vacuum keep the ready index short.
ALTER TABLE index_jobs SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE TABLE index_job_history (
    job          bigint NOT NULL,
    tenant_id    text NOT NULL,
    source_kind  text NOT NULL,
    source       bigint NOT NULL,
    space        int NOT NULL,
    trigger_kind text NOT NULL,
    attempts     int NOT NULL,
    occurrences  int NOT NULL,
    last_error   text,
    items        int NOT NULL,
    created_at   timestamptz NOT NULL,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (finished_at);
-- A row finds a home even when no worker made its day's partition yet.
CREATE TABLE index_job_history_rest PARTITION OF index_job_history DEFAULT;

-- Makes the partitions of today and tomorrow, and drops those whose last day is older than the retention. Runs as the owner: the
-- programs' roles make and drop no tables. Returns how many it dropped.
CREATE FUNCTION rotate_history(retention_days int) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC'
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
            EXECUTE format('CREATE TABLE %I PARTITION OF index_job_history FOR VALUES FROM (%L) TO (%L)', partition, day, day + 1);
        END IF;
    END LOOP;
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'index_job_history'::regclass AND c.relname ~ '^index_job_history_\d{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - retention_days
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM index_job_history_rest WHERE finished_at < current_date - retention_days;
    RETURN dropped;
END
$$;
