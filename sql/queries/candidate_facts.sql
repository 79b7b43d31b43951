-- What kind candidates are of, and how old what they say is, in seconds.
--
-- Called by: recall::candidates, where several kinds are searched or age counts. Index: sources_pkey.
SELECT s.id AS source, s.source_kind,
       extract(epoch FROM clock_timestamp() - coalesce(s.valid_from, s.updated_at))::float8 AS age
FROM sources s
WHERE s.id = ANY ($1::int8[])
