-- Ends the API keys with these hashes ($1) no later than in the database that is replaced, where they were revoked ($2) or expire ($3). Returns
-- the names of those that can no longer be used.
--
-- Called by: backup::restore, as a login that no policy concerns.
UPDATE api_keys k SET
    revoked_at = e.revoked_at::timestamptz,
    expires_at = least(k.expires_at, e.expires_at::timestamptz)
FROM unnest($1::bytea[], $2::text[], $3::text[]) AS e (key_hash, revoked_at, expires_at)
WHERE k.key_hash = e.key_hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
RETURNING CASE WHEN k.revoked_at IS NOT NULL OR k.expires_at <= clock_timestamp() THEN k.name END AS name
