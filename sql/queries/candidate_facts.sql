-- Returns the kind and the age in seconds of candidates.
--
-- Called by: recall::candidates, if the query searches several kinds or recency is configured.
-- Index: sources_pkey.
-- The age counts from the start of validity or, without one, from the last update.
SELECT s.id AS source, s.source_kind,
       extract(epoch FROM clock_timestamp() - coalesce(s.valid_from, s.updated_at))::float8 AS age
FROM sources s
WHERE s.id = ANY ($1::int8[])
