-- Returns the active space or, without one, the newest space that is being built.
--
-- Called by: spaces::serving, for queries, for status, and to activate the first space.
SELECT id, provider, url, model, asked_dimension, query_prefix, document_prefix, dimension, state
FROM embedding_spaces
WHERE state <> 'retired'
ORDER BY state = 'active' DESC, id DESC
LIMIT 1
