-- Counts by kind the passages that the caller may read, those with a vector of their text, and
-- those whose job was parked or dismissed.
--
-- Called by: coverage::count. Indexes: passages_by_kind, vectors_N_pkey; the failed jobs are few.
-- Only a vector of the passage's current text counts: the hashes must be equal. A failed job whose
-- `next_run_at` is infinity was dismissed.
SELECT p.source_kind, count(*) AS passages, count(v.passage) AS embedded,
       count(*) FILTER (WHERE v.passage IS NULL AND j.next_run_at < 'infinity') AS failed,
       count(*) FILTER (WHERE v.passage IS NULL AND j.next_run_at = 'infinity') AS dismissed
FROM passages p
LEFT JOIN {vectors} v ON v.passage = p.id AND v.text_hash = p.text_hash
LEFT JOIN index_jobs j ON j.source = p.source AND j.space = $1::int4 AND j.status = 'failed'
WHERE p.tenant_id = current_setting('pgrecall.tenant')
GROUP BY p.source_kind
