-- Appends entries of any tenant to the audit log; an entry with a known id is skipped.
--
-- Called by: audit::write, in batches, outside the calls. Index: audit_log_by_entry.
-- The commit waits for the disk, since the writer then removes the entries from its spill file.
INSERT INTO audit_log (entry_id, at, tenant_id, caller, tool, outcome, took_ms, arguments, record_ids)
SELECT a.entry_id, a.at, a.tenant_id, a.caller, a.tool, a.outcome, a.took_ms, a.arguments,
       -- Postgres requires arrays of arrays to be rectangular, so each list of ids is one text.
       CASE WHEN a.record_ids = '' THEN '{}'::uuid[] ELSE string_to_array(a.record_ids, ',')::uuid[] END
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float4[], $8::jsonb[], $9::text[])
    AS a (entry_id, at, tenant_id, caller, tool, outcome, took_ms, arguments, record_ids)
ON CONFLICT (entry_id) DO NOTHING
