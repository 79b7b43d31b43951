-- Files that were ingested: an unchanged file is skipped, and the records of a file that is gone can be found.

CREATE TABLE ingested_files (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text NOT NULL CHECK (tenant_id <> ''),
    owner_id    text NOT NULL CHECK (owner_id <> ''),
    -- The files of a folder are a range of paths, byte by byte.
    path        text COLLATE "C" NOT NULL,
    -- As it was asked for; empty where the records say it themselves.
    collection  text NOT NULL,
    -- Of the bytes, of what was asked for, and of the program that read them.
    version     uuid NOT NULL,
    -- How many records of this version there are. NULL: it was not read to its end, or something in it was broken.
    sources     int CHECK (sources >= 0),
    ingested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant_id, owner_id, path, collection)
);

-- Which sources a file holds, or held: each with the last version in which it was found. A source that was forgotten is missing here, and
-- has its file read again.
CREATE TABLE file_sources (
    file      bigint NOT NULL REFERENCES ingested_files ON DELETE CASCADE,
    source    bigint NOT NULL REFERENCES sources ON DELETE CASCADE,
    tenant_id text NOT NULL,
    version   uuid NOT NULL,
    PRIMARY KEY (file, source)
);
CREATE INDEX file_sources_by_source ON file_sources (source);
