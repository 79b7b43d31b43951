-- Files that were ingested: one that is as it was is not read again, and what came of one that is gone can be found.

CREATE TABLE ingested_files (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text NOT NULL CHECK (tenant_id <> ''),
    owner_id    text NOT NULL CHECK (owner_id <> ''),
    -- What lies in a folder is a range of paths, byte by byte.
    path        text COLLATE "C" NOT NULL,
    -- As it was asked for; empty where the records say it themselves.
    collection  text NOT NULL,
    -- Of the bytes, of what was asked for, and of the program that read them.
    version     uuid NOT NULL,
    -- How many there are of this version. NULL: it was not read to its end, or something in it was broken.
    sources     int CHECK (sources >= 0),
    ingested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant_id, owner_id, path, collection)
);

-- Which sources a file holds, or held: each with the last version in which it was found. One that was forgotten is missing here, and
-- brings its file to be read again.
CREATE TABLE file_sources (
    file      bigint NOT NULL REFERENCES ingested_files ON DELETE CASCADE,
    source    bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    tenant_id text NOT NULL,
    version   uuid NOT NULL,
    PRIMARY KEY (file, source)
);
CREATE INDEX file_sources_by_source ON file_sources (source);

ALTER TABLE ingested_files ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE file_sources ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- Of the whole tenant: whether somebody else's file holds a record as well is asked before it is forgotten.
CREATE POLICY own_tenant ON ingested_files TO pgrecall_server USING (tenant_id = current_setting('pgrecall.tenant'));
CREATE POLICY own_tenant ON file_sources TO pgrecall_server USING (tenant_id = current_setting('pgrecall.tenant'));
GRANT SELECT, INSERT, UPDATE, DELETE ON ingested_files, file_sources TO pgrecall_server;
