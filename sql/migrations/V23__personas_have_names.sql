-- A persona is a name. A key that was made with a blank one has had none all along: nothing could be shared with it.
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET persona = NULL WHERE btrim(persona) = '';
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys ADD CONSTRAINT a_persona_has_a_name CHECK (btrim(persona) <> '');
