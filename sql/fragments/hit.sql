-- Lists the columns of a hit.
--
-- Used by: the statements that show records.
s.id, s.source_id, s.source_kind, s.status, s.created_at, s.updated_at, s.last_verified,
       jsonb_build_object('key', s.key, {stored_fields}, 'valid_from', s.valid_from, 'valid_to', s.valid_to) AS fields,
       nullif(s.owner_id, current_setting('pgrecall.owner')) AS owner, s.written_by AS changed_by,
       -- NULL if the caller may not see the successor.
       CASE WHEN s.superseded_by IS NOT NULL
            THEN (SELECT n.source_id FROM sources n WHERE n.tenant_id = s.tenant_id AND n.source_id = s.superseded_by) END AS superseded_by,
       (SELECT jsonb_agg(jsonb_build_object('id', o.source_id, 'content', left(o.body, 200), 'until', o.valid_to) ORDER BY o.id DESC)
        FROM (SELECT * FROM sources o WHERE o.tenant_id = s.tenant_id AND o.superseded_by = s.source_id ORDER BY o.id DESC LIMIT 5) AS o
       ) AS supersedes
