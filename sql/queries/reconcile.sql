-- Enqueues sources with missing or stale vectors and no open job, in the next slice of passages.
--
-- Called by: queue::reconcile. Indexes: passages_pkey, {vectors}_pkey, index_jobs_unit,
-- index_jobs_flow_end. All jobs of a trigger are one flow ($3).
-- Each call reads one slice by key, so that no sweep reads the whole table. The workers share one
-- round, and SKIP LOCKED lets only one of them work on it. No row: another worker has the turn. One
-- statement has one snapshot: if a job is settled while this runs, the snapshot has either that job
-- or the vector of its passage.
-- `ended` says that the round is over and the next one begins. `tended_at` costs no extra write:
-- the row is written in any case.
WITH turn AS MATERIALIZED (
    SELECT id, reconciled_to FROM embedding_spaces WHERE id = $1::int4 FOR NO KEY UPDATE SKIP LOCKED),
slice AS MATERIALIZED (
    SELECT p.id, p.source, p.text_hash
    FROM passages p WHERE p.id > (SELECT reconciled_to FROM turn)
    ORDER BY p.id LIMIT $4::int8),
gaps AS MATERIALIZED (
    SELECT DISTINCT p.source FROM slice p
    WHERE NOT EXISTS (SELECT FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash)
      AND NOT EXISTS (SELECT FROM index_jobs j WHERE j.source = p.source AND j.space = $1::int4)),
wanted AS (
    SELECT s.tenant_id, s.source_kind, s.id AS source, (SELECT count(*) FROM passages p WHERE p.source = s.id) AS items
    FROM gaps JOIN sources s ON s.id = gaps.source),
f AS (SELECT $1::int4 AS space, $3::int8 AS flow),
{in_flow},
enqueued AS (
    INSERT INTO index_jobs (tenant_id, source_kind, source, space, order_key, items_total, flow, flow_end, trigger_kind)
    SELECT tagged.*, $2 FROM tagged
    ON CONFLICT (source, space) DO NOTHING
    RETURNING source),
moved AS (
    UPDATE embedding_spaces space
    SET reconciled_to = CASE WHEN (SELECT count(*) FROM slice) < $4::int8 THEN 0 ELSE (SELECT max(id) FROM slice) END,
        tended_at = clock_timestamp()
    FROM turn WHERE space.id = turn.id
    RETURNING space.reconciled_to)
SELECT (SELECT count(*) FROM enqueued) AS found, moved.reconciled_to = 0 AS ended FROM moved
