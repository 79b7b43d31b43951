-- Appends entries to the audit log, of any tenants. One that is there already, by its id, is left as it is.
--
-- Called by: audit::write, in batches and off the callers' way. Index: audit_log_by_entry. The commit waits for the disk: entries of a spill file are
-- removed from it afterwards.
INSERT INTO audit_log (entry_id, at, tenant_id, caller, tool, outcome, took_ms, arguments, record_ids)
SELECT a.entry_id, a.at, a.tenant_id, a.caller, a.tool, a.outcome, a.took_ms, a.arguments,
       -- An array of arrays must be a rectangle: the ids come as texts, joined.
       CASE WHEN a.record_ids = '' THEN '{}'::uuid[] ELSE string_to_array(a.record_ids, ',')::uuid[] END
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float4[], $8::jsonb[], $9::text[])
    AS a (entry_id, at, tenant_id, caller, tool, outcome, took_ms, arguments, record_ids)
ON CONFLICT (entry_id) DO NOTHING
