-- Appends calls to the audit log, of any tenants.
--
-- Called by: audit::write, in batches and off the callers' way. The commit does not wait for the disk: a crash loses less than a second of it.
WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO audit_log (at, tenant_id, caller, tool, outcome, took_ms, arguments)
SELECT a.at, a.tenant_id, a.caller, a.tool, a.outcome, a.took_ms, a.arguments
FROM unflushed
CROSS JOIN unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float4[], $7::jsonb[])
    AS a (at, tenant_id, caller, tool, outcome, took_ms, arguments)
