-- Names the one row of api_keys that this transaction may see beside its tenant's: the policy by_its_hash.
--
-- Called by: keys::find, before find_api_key.sql. Local to the transaction, as its scope is.
SELECT set_config('pgrecall.key_hash', encode($1::bytea, 'hex'), true)
