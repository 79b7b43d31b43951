-- Lists the spaces that have a table.
--
-- Called by: forget::forget, texts::change_readers.
SELECT id FROM embedding_spaces WHERE dimension IS NOT NULL
