-- Returns the neighbors of records in their sessions, up to two steps each way.
--
-- Called by: recall::stages::neighbors. Index: sources_by_session.
-- Neighbors must pass the filter as well.
SELECT c.id AS source, near.id AS neighbor, near.steps::int8 AS steps
FROM sources c
CROSS JOIN LATERAL (
    (SELECT s.id, row_number() OVER (ORDER BY s.id DESC) AS steps
     FROM sources s WHERE s.tenant_id = c.tenant_id AND s.session = c.session AND s.id < c.id AND {filter}
     ORDER BY s.id DESC LIMIT 2)
    UNION ALL
    (SELECT s.id, row_number() OVER (ORDER BY s.id) AS steps
     FROM sources s WHERE s.tenant_id = c.tenant_id AND s.session = c.session AND s.id > c.id AND {filter}
     ORDER BY s.id LIMIT 2)) AS near
WHERE c.id = ANY ($15::int8[]) AND c.tenant_id = current_setting('pgrecall.tenant') AND c.session IS NOT NULL
