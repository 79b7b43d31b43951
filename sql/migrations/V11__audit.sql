-- Who called what, and how it ended. What was said is not kept: of the arguments only their names, kinds and lengths.
CREATE TABLE audit_log (
    at          timestamptz NOT NULL,
    tenant_id   text NOT NULL,
    caller      text NOT NULL,
    tool        text NOT NULL,
    outcome     text NOT NULL,
    took_ms     real NOT NULL,
    arguments   jsonb NOT NULL
);
-- What is read is a tenant's last calls, and what is dropped is the oldest; rows come in the order of their time.
CREATE INDEX audit_log_by_tenant ON audit_log (tenant_id, at);
CREATE INDEX audit_log_by_time ON audit_log USING brin (at);

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON audit_log TO pgrecall_server USING (tenant_id = (SELECT current_setting('pgrecall.tenant')));
CREATE POLICY every_tenant ON audit_log TO pgrecall_worker USING (true) WITH CHECK (true);
GRANT SELECT ON audit_log TO pgrecall_server;
GRANT SELECT, INSERT, DELETE ON audit_log TO pgrecall_worker;
