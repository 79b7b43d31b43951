-- Writes next to passages, vectors and labels who reads them, where that is missing or is not what the source says: of some passages ($3) among the next
-- slice ($2) in the reconciler's round.
--
-- Called by: queue::align_readers, before reconcile.sql. Indexes: passages_pkey, sources_pkey, {vectors}_pkey, labels_by_source. Rows that a program of the
-- version before wrote say nothing, and what it shared still says who read it before. What this version writes is right when it is committed
-- (change_readers.sql), and a row that a writer has changed since it was read here is left alone: each UPDATE requires the old values, which Postgres
-- checks once more where it has waited for a lock. A replacement deletes and inserts its labels, so that a row of labels has one writer. As in
-- reconcile.sql, one worker has the turn: without a row in the answer another worker is at it. A changed vector is put into its index once more, which takes a
-- millisecond: few at a time, so that no writer waits for long.
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
