-- Lists a tenant's API keys, newest first, with revoked ones only on request ($1).
--
-- Called by: keys::list. The database's clock decides which keys have expired, and which expire
-- within $2 days.
SELECT id, name, owner_id AS "user", persona, scopes, created_at, expires_at, replaced_at, revoked_at, last_used_at,
       coalesce(expires_at < clock_timestamp(), false) AS expired,
       coalesce(expires_at < clock_timestamp() + $2::int4 * interval '1 day', false) AS ends_soon
FROM api_keys
WHERE tenant_id = current_setting('pgrecall.tenant') AND ($1::bool OR revoked_at IS NULL)
ORDER BY id DESC
