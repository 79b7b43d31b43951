-- Rewrites the history of a database whose schema was reached in 26 steps: it then is as if these migrations, which are one schema, had made it.
--
-- Called by: db::migrate, under the migration lock, once the catalog is known to be equal.
WITH dropped AS (DELETE FROM pgrecall.refinery_schema_history)
INSERT INTO pgrecall.refinery_schema_history (version, name, applied_on, checksum)
SELECT made.version, made.name, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), made.checksum
FROM unnest($1::int4[], $2::text[], $3::text[]) AS made (version, name, checksum)
