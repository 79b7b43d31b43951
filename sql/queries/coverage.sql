-- Counts by kind the passages that the caller may read, and those with a vector of their text.
--
-- Called by: status::coverage. Indexes: passages_by_kind, {vectors}_pkey.
-- Only a vector of the passage's current text counts: the hashes must be equal.
SELECT p.source_kind, count(*) AS passages, count(v.passage) AS embedded
FROM passages p
LEFT JOIN {vectors} v ON v.passage = p.id AND v.text_hash = p.text_hash
WHERE p.tenant_id = current_setting('pgrecall.tenant')
GROUP BY p.source_kind
