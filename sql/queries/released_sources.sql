-- Returns the sources that no file holds any more.
--
-- Called by: files::released, page by page. Indexes: the unique one of ingested_files,
-- file_sources_pkey, and file_sources_by_source to find other files.
-- These are sources of files that are gone ($1), and of files whose last version was read to its
-- end without them. A file that was not read to its end, or whose count does not match, releases
-- nothing: its content is not known.
-- The first step checks each file with one look at its rows, since most files release nothing.
-- OFFSET 0 and MATERIALIZED leave one possible plan for each step: otherwise the planner compared
-- every source with every file (30 s for 5,000 files).
WITH files AS MATERIALIZED (
    SELECT f.id, f.version, f.id = ANY ($1::int8[]) AS is_gone
    FROM ingested_files f
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE h.version = f.version) AS held, count(*) AS all_times
        FROM file_sources h
        WHERE h.file = f.id) counted
    WHERE f.tenant_id = current_setting('pgrecall.tenant') AND f.owner_id = current_setting('pgrecall.owner')
          AND (f.path = $2 OR (f.path >= $3 AND f.path < $4))
          AND (f.id = ANY ($1::int8[]) OR (f.sources = counted.held AND counted.held < counted.all_times))),
released AS MATERIALIZED (
    SELECT DISTINCT h.source
    FROM files
    CROSS JOIN LATERAL (
        SELECT h.source
        FROM file_sources h
        WHERE h.file = files.id AND h.source > $5 AND (files.is_gone OR h.version <> files.version)
        OFFSET 0) h)
SELECT s.id, s.source_id
FROM released
CROSS JOIN LATERAL (SELECT s.id, s.source_id FROM sources s WHERE s.id = released.source OFFSET 0) s
CROSS JOIN LATERAL (
    SELECT count(*) AS others
    FROM file_sources other
    CROSS JOIN LATERAL (SELECT f.version, f.sources FROM ingested_files f WHERE f.id = other.file OFFSET 0) f
    WHERE other.source = s.id AND other.file <> ALL ($1::int8[]) AND (other.version = f.version OR f.sources IS NULL)) held
WHERE held.others = 0
ORDER BY s.id
LIMIT $6
