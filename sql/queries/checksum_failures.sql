-- Returns whether pages have checksums, and how many pages of this database failed theirs.
--
-- Called by: integrity::check. Needs no privilege.
SELECT current_setting('data_checksums') = 'on' AS has_checksums, coalesce(max(checksum_failures), 0)::int8 AS failures
FROM pg_stat_database WHERE datname = current_database()
