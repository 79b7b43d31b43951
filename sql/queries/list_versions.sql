-- Lists the kept versions of records, newest first, at most twenty for each record.
--
-- Called by: versions::list. Index: versions_by_source.
SELECT v.version_id AS id, v.source_id AS "of", left(v.record ->> 'text', 200) AS content, v.written_by, v.replaced_by, v.replaced_at
FROM unnest($1::uuid[]) AS wanted (source_id)
CROSS JOIN LATERAL (
    SELECT * FROM source_versions v
    WHERE v.tenant_id = current_setting('pgrecall.tenant') AND v.source_id = wanted.source_id
      AND v.replaced_at > clock_timestamp() - $2::float8 * interval '1 second'
    ORDER BY v.replaced_at DESC
    LIMIT 20) AS v
ORDER BY v.replaced_at DESC
