-- Replaces the history of the 26 old migrations by that of the migrations of one schema.
--
-- Called by: db::migrate, under the migration lock, after it has compared the catalog (decision
-- 33).
-- The database then looks as if these migrations had made it.
WITH dropped AS (DELETE FROM pgrecall.refinery_schema_history)
INSERT INTO pgrecall.refinery_schema_history (version, name, applied_on, checksum)
SELECT made.version, made.name, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), made.checksum
FROM unnest($1::int4[], $2::text[], $3::text[]) AS made (version, name, checksum)
