-- Sets the hash of the API key that this transaction may see besides its tenant's keys.
--
-- Called by: keys::find, before find_api_key.sql. The policy by_its_hash reads it.
-- Local to the transaction, as the scope is.
SELECT set_config('pgrecall.key_hash', encode($1::bytea, 'hex'), true)
