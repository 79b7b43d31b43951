-- Passages by kind that the caller reads, and how many of them have the vector of what they say now.
--
-- Called by: status::coverage. Indexes: passages_by_kind, {vectors}_pkey.
SELECT p.source_kind, count(*) AS passages, count(v.passage) AS embedded
FROM passages p
LEFT JOIN {vectors} v ON v.passage = p.id AND v.text_hash = p.text_hash
WHERE p.tenant_id = current_setting('pgrecall.tenant')
GROUP BY p.source_kind
