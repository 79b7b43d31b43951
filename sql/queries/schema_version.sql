-- Returns the newest migration that was applied to this database.
--
-- Called by: db::migrate. Includes migrations that this program does not know: it refuses a newer
-- schema.
SELECT coalesce(max(version), 0)::int8 AS version FROM pgrecall.refinery_schema_history
