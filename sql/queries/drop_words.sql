-- Deletes the postings and labels of sources before a write inserts new ones.
--
-- Called by: write::write, for replaced sources only. Indexes: postings_by_source,
-- labels_by_source.
WITH labels_gone AS (DELETE FROM labels WHERE source = ANY ($1::int8[]))
DELETE FROM postings WHERE source = ANY ($1::int8[])
