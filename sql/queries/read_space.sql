-- Returns the current state of one space. No row: it was dropped.
--
-- Called by: spaces::read, spaces::learn_dimension.
SELECT id, provider, url, model, asked_dimension, query_prefix, document_prefix, dimension, state FROM embedding_spaces WHERE id = $1::int4
