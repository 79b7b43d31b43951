-- Updates the readers of the vectors in one space, as change_readers.sql does for passages.
--
-- Called by: texts::change_readers, after lock_jobs.sql. Index: {vectors}_source_idx.
-- A worker locks the jobs before it stores vectors (hold.sql): either it has committed, and this
-- statement sees its vectors, or it waits for this transaction, and then reads the passages with
-- the new readers.
UPDATE {vectors} v SET audience = r.audience, persona_owner = r.persona_owner
FROM unnest($1::int8[], $2::text[], $3::text[]) AS r (source, audience, persona_owner)
WHERE v.source = r.source
