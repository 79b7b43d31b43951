-- Enqueues every source with passages in a space that has no table yet.
--
-- Called by: queue::reconcile. As in reconcile.sql, one worker has the turn.
-- `tended_at` is written at most once a minute, since nothing else of the row changes here.
WITH turn AS MATERIALIZED (SELECT id FROM embedding_spaces WHERE id = $1::int4 FOR NO KEY UPDATE SKIP LOCKED),
tended AS (
    UPDATE embedding_spaces space SET tended_at = clock_timestamp()
    FROM turn WHERE space.id = turn.id AND space.tended_at < clock_timestamp() - interval '1 minute')
INSERT INTO index_jobs (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total)
SELECT p.tenant_id, p.source_kind, p.source, $1::int4, $2, clock_timestamp() + $3::float8 * interval '1 second', count(*)
FROM passages p
WHERE EXISTS (SELECT FROM turn) AND NOT EXISTS (SELECT FROM index_jobs j WHERE j.source = p.source AND j.space = $1::int4)
GROUP BY p.tenant_id, p.source_kind, p.source
LIMIT $4::int8
ON CONFLICT (source, space) DO NOTHING
