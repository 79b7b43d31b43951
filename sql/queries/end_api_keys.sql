-- Ends API keys in a restored database no later than in the database that it replaces.
--
-- Called by: backup::restore, on the restored database, as a login to which no policy applies.
-- $1 has the hashes of the keys, $2 when they were revoked, $3 when they expire. Returns the names
-- of the keys that can no longer be used, and NULL for the others.
UPDATE api_keys k SET
    revoked_at = e.revoked_at::timestamptz,
    expires_at = least(k.expires_at, e.expires_at::timestamptz)
FROM unnest($1::bytea[], $2::text[], $3::text[]) AS e (key_hash, revoked_at, expires_at)
WHERE k.key_hash = e.key_hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
RETURNING CASE WHEN k.revoked_at IS NOT NULL OR k.expires_at <= clock_timestamp() THEN k.name END AS name
