-- Lists the API keys of every tenant that were revoked or have an end.
--
-- Called by: backup::private::restore, on the database that is replaced, as a login to which no
-- policy applies.
SELECT key_hash, revoked_at::text AS revoked_at, expires_at::text AS expires_at FROM api_keys
WHERE revoked_at IS NOT NULL OR expires_at IS NOT NULL
