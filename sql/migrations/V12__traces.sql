-- The trace that a job goes on with, of the request that wrote its text: unset where that was not traced. New columns without a default rewrite
-- nothing, and their names are OpenTelemetry's: the trace, and the span in it that enqueued.
ALTER TABLE index_jobs ADD COLUMN trace_id uuid, ADD COLUMN span_id bigint;
