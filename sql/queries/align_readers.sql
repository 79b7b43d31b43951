-- Updates the readers in passages, vectors and labels that differ from those of their source.
--
-- Called by: queue::align_readers, before reconcile.sql. Indexes: passages_pkey, sources_pkey,
-- {vectors}_pkey, labels_by_source.
-- Handles at most $3 passages among the next slice ($2) of the reconciler's round. Rows that a
-- program of the previous version wrote name no readers; those of a record that it shared still
-- name the readers from before. Rows of this version are right at their commit
-- (change_readers.sql).
-- Each UPDATE of a passage or a vector requires the values that were read here, and Postgres checks
-- them again after it has waited for a lock: a row that a writer has changed since is left alone.
-- Labels need no such condition: a replacement deletes and inserts them, so no writer updates a
-- label.
-- As in reconcile.sql, one worker has the turn. No row: another worker has it. HNSW indexes a
-- changed vector again, which takes about 1 ms: $3 is small, so that no writer waits for long.
WITH turn AS MATERIALIZED (
    SELECT reconciled_to FROM embedding_spaces WHERE id = $1::int4 FOR NO KEY UPDATE SKIP LOCKED),
slice AS MATERIALIZED (
    SELECT p.id, p.source, p.audience, p.persona_owner FROM passages p
    WHERE p.id > (SELECT reconciled_to FROM turn)
    ORDER BY p.id LIMIT $2::int8),
readers AS MATERIALIZED (
    SELECT slice.id, slice.source, r.audience, r.persona_owner, slice.audience AS old_audience, slice.persona_owner AS old_persona_owner,
           v.audience AS old_vector_audience, v.persona_owner AS old_vector_persona_owner
    FROM slice
    JOIN sources s ON s.id = slice.source
    CROSS JOIN LATERAL (
        SELECT audience(s.visibility, s.persona, s.owner_id) AS audience, CASE WHEN s.visibility = 'persona' THEN s.owner_id END AS persona_owner
    ) AS r
    LEFT JOIN {vectors} v ON v.passage = slice.id
    WHERE (slice.audience, slice.persona_owner) IS DISTINCT FROM (r.audience, r.persona_owner)
       OR (v.passage IS NOT NULL AND (v.audience, v.persona_owner) IS DISTINCT FROM (r.audience, r.persona_owner))
       OR EXISTS (SELECT FROM labels l
                  WHERE l.source = slice.source AND (l.audience, l.persona_owner) IS DISTINCT FROM (r.audience, r.persona_owner))
    LIMIT $3::int8),
of_passages AS (
    UPDATE passages p SET audience = r.audience, persona_owner = r.persona_owner FROM readers r
    WHERE p.id = r.id AND (p.audience, p.persona_owner) IS NOT DISTINCT FROM (r.old_audience, r.old_persona_owner)),
of_vectors AS (
    UPDATE {vectors} v SET audience = r.audience, persona_owner = r.persona_owner FROM readers r
    WHERE v.passage = r.id AND (v.audience, v.persona_owner) IS NOT DISTINCT FROM (r.old_vector_audience, r.old_vector_persona_owner)),
of_labels AS (
    UPDATE labels l SET audience = r.audience, persona_owner = r.persona_owner
    FROM (SELECT DISTINCT source, audience, persona_owner FROM readers) AS r WHERE l.source = r.source)
SELECT (SELECT count(*) FROM readers) AS aligned FROM turn
