-- Returns whether the caller may read any source.
--
-- Called by: status::has_sources, for an answer without results. Indexes: sources_by_owner,
-- sources_by_visibility.
SELECT EXISTS (SELECT FROM sources s
               WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.owner_id = current_setting('pgrecall.owner'))
    OR EXISTS (SELECT FROM sources s
               WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.visibility = 'tenant')
    OR EXISTS (SELECT FROM sources s
               WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.visibility = 'persona'
                 AND s.persona = current_setting('pgrecall.persona')) AS has_sources
