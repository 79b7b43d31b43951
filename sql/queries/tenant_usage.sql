-- How many records a tenant ($1) has, how much text where that is asked for ($2), and how many records it wrote in the last minute. What was
-- forgotten counts while it can be restored, and so does the text of earlier versions.
--
-- Called by: quotas::Quotas, as the worker, who sees every record of the tenant; at most once in five seconds for each server and tenant, and only where
-- a quota is set. Indexes: sources_by_kind for the number, sources_by_change for the last minute, and the tenant's rows for the text: the length of a
-- text is read without the text.
SELECT (SELECT count(*) FROM sources WHERE tenant_id = $1)
       + (SELECT count(*) FROM forgotten_sources WHERE tenant_id = $1) AS records,
       ((SELECT coalesce(sum(octet_length(body)), 0) FROM sources WHERE tenant_id = $1 AND $2::bool)
        + (SELECT coalesce(sum(pg_column_size(record)), 0) FROM forgotten_sources WHERE tenant_id = $1 AND $2::bool)
        + (SELECT coalesce(sum(pg_column_size(record)), 0) FROM source_versions WHERE tenant_id = $1 AND $2::bool))::int8 AS text_bytes,
       (SELECT count(*) FROM sources
        WHERE tenant_id = $1 AND source_kind = ANY ($3::text[]) AND updated_at > now() - interval '1 minute') AS lately
