-- The same for the vectors of one space.
--
-- Called by: texts::change_readers, after lock_jobs.sql: a worker that stores vectors at this moment has committed them, and they are seen here, or waits
-- for the jobs and reads the passages as they are then. Index: {vectors}_source_idx.
UPDATE {vectors} v SET audience = r.audience, persona_owner = r.persona_owner
FROM unnest($1::int8[], $2::text[], $3::text[]) AS r (source, audience, persona_owner)
WHERE v.source = r.source
