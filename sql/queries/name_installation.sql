-- Makes this database another installation than the one it was copied from.
--
-- Called by: backup::restore.
UPDATE installation SET
    id = gen_random_uuid(),
    secret = sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
