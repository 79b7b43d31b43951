-- Deletes sources. Passages, vectors, postings, labels and jobs go with them (ON DELETE CASCADE).
--
-- Called by: forget::forget, after find_forgotten.sql in the same transaction.
DELETE FROM sources WHERE id = ANY ($1::int8[])
