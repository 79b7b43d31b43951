-- The space that is being filled beside the active one, if there is one: the newest.
--
-- Called by: spaces::next.
SELECT id, provider, url, model, query_prefix, document_prefix, dimension, state
FROM embedding_spaces
WHERE state IN ('building', 'ready') AND EXISTS (SELECT FROM embedding_spaces WHERE state = 'active')
ORDER BY id DESC
LIMIT 1
