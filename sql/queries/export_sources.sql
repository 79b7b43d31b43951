-- A page of sources, whole, in the order they were first written.
--
-- Called by: read::export. Index: sources_pkey. What is not set is left out; a null within metadata is a value, and stays.
SELECT s.id, {exported}::text AS line
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.id > $1::int8
ORDER BY s.id
LIMIT $2::int8
