-- Counts a tenant's records, its bytes of text ($2), and the records written in the last minute.
--
-- Called by: quotas::Quotas, in the worker's role, which sees every record of the tenant; every few
-- seconds and more often close to a quota, and only if a quota is set.
-- Indexes: sources_by_kind for the count, sources_by_change for the last minute, and the tenant's
-- rows for the text; Postgres reads the length of a text without the text. Forgotten records count
-- while they can be restored, and so does the text of earlier versions.
SELECT (SELECT count(*) FROM sources WHERE tenant_id = $1)
       + (SELECT count(*) FROM forgotten_sources WHERE tenant_id = $1) AS records,
       ((SELECT coalesce(sum(octet_length(body)), 0) FROM sources WHERE tenant_id = $1 AND $2::bool)
        + (SELECT coalesce(sum(pg_column_size(record)), 0) FROM forgotten_sources WHERE tenant_id = $1 AND $2::bool)
        + (SELECT coalesce(sum(pg_column_size(record)), 0) FROM source_versions WHERE tenant_id = $1 AND $2::bool))::int8 AS text_bytes,
       (SELECT count(*) FROM sources
        WHERE tenant_id = $1 AND source_kind = ANY ($3::text[]) AND updated_at > now() - interval '1 minute') AS lately
