-- Passages by kind that the caller reads, while no space has a table: none of them is embedded.
--
-- Called by: status::coverage. Index: passages_by_kind.
SELECT p.source_kind, count(*) AS passages, 0::int8 AS embedded
FROM passages p
WHERE p.tenant_id = current_setting('pgrecall.tenant')
GROUP BY p.source_kind
