-- Sources that no file holds any more: of files that are gone, and of files whose last version was read whole and has them not.
--
-- Called by: files::released, page by page. Index: the unique one of ingested_files, the primary key of file_sources, and
-- file_sources_by_source to ask who else holds them. Files are judged first, each by one look at what it holds: most release nothing, and
-- cost no more. Written so that each step has one way only: left to choose, the planner compared every source with every file (30 s for
-- 5,000 files). A file that was not read to its end, and one whose count is not what it was read to hold, releases nothing: what it
-- holds is not known.
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
