-- The newest migration that was applied here.
--
-- Called by: db::migrate. Not limited to the migrations this program knows: a newer one is a reason to refuse.
SELECT coalesce(max(version), 0)::int8 AS version FROM pgrecall.refinery_schema_history
