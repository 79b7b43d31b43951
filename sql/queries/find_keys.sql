-- Finds the records that have these keys already, and locks them.
--
-- Called by: write::write, with the item, kind, collection, key and visibility of each record, and
-- its owner and persona if they are not the caller's.
-- Indexes: sources_by_tenant_key, sources_by_persona_key, sources_by_owner_key.
-- A key is looked up among the records of the same audience, and among those that its owner keeps
-- private (decision 22). Locks rows in the order of their ids, so that two writers of the same keys
-- wait for each other and cannot deadlock. If a key is new to both writers, write_sources.sql
-- decides.
WITH wanted AS MATERIALIZED (
    SELECT w.item, w.source_kind, w.collection, w.key, w.visibility, coalesce(w.owner_id, current_setting('pgrecall.owner')) AS owner_id,
           CASE WHEN w.owner_id IS NULL THEN current_setting('pgrecall.persona') ELSE w.persona END AS persona
    FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
         AS w (item, source_kind, collection, key, visibility, owner_id, persona)),
-- One branch per index: with an OR, the planner would use no index.
found AS MATERIALIZED (
    SELECT f.*, w.item, w.source_kind, w.collection, w.key, f.visibility = w.visibility AS same_audience
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT s.id, s.visibility, s.persona FROM sources s
        WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = w.source_kind AND s.collection = w.collection
          AND s.key = w.key AND s.visibility = 'tenant' AND w.visibility = 'tenant'
        UNION ALL
        SELECT s.id, s.visibility, s.persona FROM sources s
        WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = w.source_kind AND s.collection = w.collection
          AND s.key = w.key AND s.visibility = 'persona' AND w.visibility = 'persona' AND s.persona = w.persona
        UNION ALL
        SELECT s.id, s.visibility, s.persona FROM sources s
        WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_kind = w.source_kind AND s.collection = w.collection
          AND s.key = w.key AND s.visibility = 'private' AND s.owner_id = w.owner_id) AS f)
SELECT f.item, f.same_audience, s.source_id, s.collection, s.key, s.visibility, s.persona, s.content_hash, s.owner_id, s.written_by
FROM found f
-- Joins the row again, so that Postgres rechecks a row that changed while this waited for its lock.
JOIN sources s USING (id, source_kind, collection, key, visibility)
WHERE s.persona IS NOT DISTINCT FROM f.persona
ORDER BY s.id
FOR UPDATE OF s
