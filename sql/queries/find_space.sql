-- The active space, or else the one that is being built: the newest, if there are several.
--
-- Called by: spaces::serving, for queries and for status.
SELECT id, provider, url, model, asked_dimension, query_prefix, document_prefix, dimension, state
FROM embedding_spaces
WHERE state <> 'retired'
ORDER BY state = 'active' DESC, id DESC
LIMIT 1
