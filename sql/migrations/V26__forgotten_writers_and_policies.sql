-- Who wrote the text of a forgotten record, where that is not the owner: a restored record keeps its writer.
ALTER TABLE forgotten_sources ADD COLUMN written_by text;

-- may_read() is a function call for each row. These tables have no reader of their own, and ask the policy of `sources` directly.
DROP POLICY own_tenant_and_visible ON file_sources;
CREATE POLICY own_tenant_and_visible ON file_sources TO pgrecall_server
    USING (tenant_id = (SELECT current_setting('pgrecall.tenant')) AND EXISTS (SELECT FROM sources s WHERE s.id = source));
DROP POLICY own_tenant_and_visible ON index_job_history;
CREATE POLICY own_tenant_and_visible ON index_job_history TO pgrecall_server
    USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
           AND NOT EXISTS (SELECT FROM unnest(sources) AS held (source)
                           WHERE NOT EXISTS (SELECT FROM sources s WHERE s.id = held.source)));

-- A version may have had more readers than its record has now. Besides the owner, it is shown to those who read the record or could restore it.
DROP POLICY own_tenant_and_visible ON source_versions;
CREATE POLICY own_tenant_and_visible ON source_versions TO pgrecall_server
    USING (tenant_id = (SELECT current_setting('pgrecall.tenant'))
           AND (owner_id = (SELECT current_setting('pgrecall.owner'))
                OR ((visibility = 'tenant' OR (visibility = 'persona' AND persona = (SELECT current_setting('pgrecall.persona'))))
                    AND (EXISTS (SELECT FROM sources s
                                 WHERE s.tenant_id = source_versions.tenant_id AND s.source_id = source_versions.source_id)
                         OR EXISTS (SELECT FROM forgotten_sources f
                                    WHERE f.tenant_id = source_versions.tenant_id AND f.source_id = source_versions.source_id)))));
