-- Enqueues every source with passages in a space that has no table yet.
--
-- Called by: queue::reconcile. Index: index_jobs_flow_end. As in reconcile.sql, one worker has the
-- turn.
-- `tended_at` is written at most once a minute, since nothing else of the row changes here.
WITH turn AS MATERIALIZED (SELECT id FROM embedding_spaces WHERE id = $1::int4 FOR NO KEY UPDATE SKIP LOCKED),
tended AS (
    UPDATE embedding_spaces space SET tended_at = clock_timestamp()
    FROM turn WHERE space.id = turn.id AND space.tended_at < clock_timestamp() - interval '1 minute'),
wanted AS (
    SELECT p.tenant_id, p.source_kind, p.source, count(*) AS items
    FROM passages p
    WHERE EXISTS (SELECT FROM turn) AND NOT EXISTS (SELECT FROM index_jobs j WHERE j.source = p.source AND j.space = $1::int4)
    GROUP BY p.tenant_id, p.source_kind, p.source
    LIMIT $4::int8),
f AS (SELECT $1::int4 AS space, $3::int8 AS flow),
{in_flow}
INSERT INTO index_jobs (tenant_id, source_kind, source, space, order_key, items_total, flow, flow_end, trigger_kind)
SELECT tagged.*, $2 FROM tagged
ON CONFLICT (source, space) DO NOTHING
