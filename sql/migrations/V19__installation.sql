-- Which installation this database is. A backup carries the number, and a restore tells by it whether the API keys in the backup were given out by
-- the database that it replaces.
CREATE TABLE installation (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    id      uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO installation DEFAULT VALUES;
