-- Returns the public ids of sources.
--
-- Called by: recall::stages::hydrate, for the near-duplicates of a result. Index: sources_pkey.
SELECT s.id AS source, s.source_id FROM sources s WHERE s.id = ANY ($1::int8[])
