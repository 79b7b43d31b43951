-- Counts by kind the passages that the caller may read, while no space has a table.
--
-- Called by: status::coverage. Index: passages_by_kind.
-- No passage is embedded yet.
SELECT p.source_kind, count(*) AS passages, 0::int8 AS embedded
FROM passages p
WHERE p.tenant_id = current_setting('pgrecall.tenant')
GROUP BY p.source_kind
