-- Finds or makes the row of a model's embedding space.
--
-- Called by: spaces::ensure, by every program when it starts. Index: embedding_spaces_by_model. The address follows the
-- configuration: the same model behind another address gives the same vectors.
INSERT INTO embedding_spaces AS space (provider, url, model, query_prefix, document_prefix, state)
VALUES ($1, $2, $3, $4, $5, 'building')
ON CONFLICT (provider, model, query_prefix, document_prefix) WHERE state <> 'retired' DO UPDATE SET url = excluded.url
RETURNING id, provider, url, model, query_prefix, document_prefix, dimension, state
