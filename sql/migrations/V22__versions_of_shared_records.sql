-- What a record said before somebody other than its writer replaced it, and who that was.

-- Who wrote the present text, where that is not the owner.
ALTER TABLE sources ADD COLUMN written_by text CHECK (written_by <> '');

CREATE TABLE source_versions (
    tenant_id   text NOT NULL,
    version_id  uuid NOT NULL,
    source_id   uuid NOT NULL,
    owner_id    text NOT NULL,
    persona     text,
    visibility  text NOT NULL,
    record      jsonb NOT NULL,
    written_by  text NOT NULL,
    replaced_by text NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, version_id)
);
CREATE INDEX versions_by_source ON source_versions (tenant_id, source_id, replaced_at);
CREATE INDEX versions_by_time ON source_versions (replaced_at);

ALTER TABLE source_versions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant_and_visible ON source_versions TO pgrecall_server
    USING (tenant_id = current_setting('pgrecall.tenant')
           AND (visibility = 'tenant'
                OR owner_id = current_setting('pgrecall.owner')
                OR (visibility = 'persona' AND persona = current_setting('pgrecall.persona'))));
CREATE POLICY every_tenant ON source_versions TO pgrecall_worker USING (true);
GRANT SELECT, INSERT, DELETE ON source_versions TO pgrecall_server;
GRANT SELECT, DELETE ON source_versions TO pgrecall_worker;
