-- Enqueues sources whose vectors are missing or stale in a space and for which no job is open.
--
-- Called by: queue::reconcile. Indexes: {vectors}_pkey, index_jobs_source_space_key. Bounded, so that one sweep ends.
INSERT INTO index_jobs (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total)
SELECT p.tenant_id, p.source_kind, p.source, $1::int4, $2, clock_timestamp() + $3::float8 * interval '1 second', count(*)
FROM passages p
WHERE NOT EXISTS (SELECT FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash)
  AND NOT EXISTS (SELECT FROM index_jobs j WHERE j.source = p.source AND j.space = $1::int4)
GROUP BY p.tenant_id, p.source_kind, p.source
LIMIT $4::int8
ON CONFLICT (source, space) DO NOTHING
