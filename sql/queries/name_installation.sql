-- Gives this database a new installation id and a new secret.
--
-- Called by: backup::restore, unless the database replaces the one that was backed up: API keys and
-- cursors of the original are not valid in a copy.
UPDATE installation SET
    id = gen_random_uuid(),
    secret = sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
