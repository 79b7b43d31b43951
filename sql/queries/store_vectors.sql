-- Stores vectors, if the lease still holds and the passages still have the embedded text.
--
-- Called by: vectors::store. Indexes: index_jobs_unit, passages_pkey, {vectors}_pkey.
-- Fenced by the lease token and, passage by passage, by the hash of the text. hold.sql has locked
-- the jobs, so that the reaper cannot take them before this commits. Returns one row per held job,
-- with the number of vectors that were stored for it.
WITH leased AS (
    SELECT source FROM index_jobs
    WHERE source = ANY ($1::int8[]) AND lease_token = $2::int8 AND status = 'running'),
stored AS (
    INSERT INTO {vectors} AS v (passage, source, tenant_id, source_kind, text_hash, embedding, audience, persona_owner)
    SELECT p.id, p.source, p.tenant_id, p.source_kind, p.text_hash, made.embedding, p.audience, p.persona_owner
    FROM unnest($3::int8[], $4::bytea[], $5) AS made (passage, text_hash, embedding)
    JOIN passages p ON p.id = made.passage AND p.text_hash = made.text_hash
    JOIN leased USING (source)
    ON CONFLICT (passage) DO UPDATE SET
        text_hash = excluded.text_hash, embedding = excluded.embedding, audience = excluded.audience, persona_owner = excluded.persona_owner
    RETURNING source),
counted AS (SELECT source, count(*)::int4 AS n FROM stored GROUP BY source)
UPDATE index_jobs j SET items_done = j.items_done + coalesce(counted.n, 0)
FROM leased LEFT JOIN counted USING (source)
WHERE j.source = leased.source AND j.lease_token = $2::int8
RETURNING coalesce(counted.n, 0) AS stored
