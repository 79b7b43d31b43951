-- The order of the queue: start-time fair queueing (decision 40).
--
-- `order_key` is now a start tag in virtual time, in which a passage takes a millisecond. It keeps its type and its index: programs of the previous
-- version go on to enqueue by the time of day and to claim in the order of the key.

COMMENT ON COLUMN index_jobs.order_key IS 'Start tag in virtual time, in which a passage takes a millisecond.';
-- Only the last job of a flow in a statement says where the flow ends: a bulk write adds one entry to the index, and not one for each of its jobs.
ALTER TABLE index_jobs ADD COLUMN flow bigint, ADD COLUMN flow_end timestamptz;
COMMENT ON COLUMN index_jobs.flow IS 'Hash of whose jobs these are and of what kind, on the last job of a write.';
COMMENT ON COLUMN index_jobs.flow_end IS 'Where the flow ends with this job: the start tag of its next job.';
CREATE INDEX index_jobs_flow_end ON index_jobs (space, flow, flow_end) WHERE flow IS NOT NULL;

-- The virtual clocks, in microseconds: a space has the clock of its id modulo 4. A claim moves it, and each write adds a microsecond, so that no two tags
-- are equal. Sequences, not rows: each claim would leave a dead version of a row, and while a snapshot is open, each reader would pass all of them. Their
-- number is fixed, since the programs' roles make no sequences. Two spaces of one clock would do no harm: their claims move it faster.
CREATE SEQUENCE queue_clock_0;
CREATE SEQUENCE queue_clock_1;
CREATE SEQUENCE queue_clock_2;
CREATE SEQUENCE queue_clock_3;
GRANT USAGE ON SEQUENCE queue_clock_0, queue_clock_1, queue_clock_2, queue_clock_3 TO pgrecall_server, pgrecall_worker;
GRANT UPDATE ON SEQUENCE queue_clock_0, queue_clock_1, queue_clock_2, queue_clock_3 TO pgrecall_worker;

-- The clocks begin at the first job that waits, so that a fresh write does not wait behind the others, and shares with them.
ALTER TABLE index_jobs NO FORCE ROW LEVEL SECURITY;
SELECT setval(clock::regclass, (extract(epoch FROM coalesce((SELECT min(order_key) FROM index_jobs WHERE next_run_at IS NULL), clock_timestamp())) * 1000000)::int8)
FROM unnest(ARRAY['queue_clock_0', 'queue_clock_1', 'queue_clock_2', 'queue_clock_3']) AS clock;
ALTER TABLE index_jobs FORCE ROW LEVEL SECURITY;
