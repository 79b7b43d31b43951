-- Finds, revives or makes the row of a model's embedding space.
--
-- Called by: spaces::ensure, by every worker when it starts, and by the first program on a new database. Index:
-- embedding_spaces_by_model. One that was retired and not dropped yet is taken up again with its vectors: so a change of the model is
-- taken back. The address follows the configuration: the same model behind another address gives the same vectors.
WITH revived AS (
    UPDATE embedding_spaces SET state = 'building', retired_at = NULL, url = $2, reconciled_to = 0
    WHERE state = 'retired' AND id = (
        SELECT max(id) FROM embedding_spaces
        WHERE provider = $1 AND model = $3 AND query_prefix = $4 AND document_prefix = $5 AND state = 'retired')
      AND NOT EXISTS (
        SELECT FROM embedding_spaces
        WHERE provider = $1 AND model = $3 AND query_prefix = $4 AND document_prefix = $5 AND state <> 'retired')
    RETURNING id, provider, url, model, query_prefix, document_prefix, dimension, state),
made AS (
    INSERT INTO embedding_spaces AS space (provider, url, model, query_prefix, document_prefix, state)
    SELECT $1, $2, $3, $4, $5, 'building' WHERE NOT EXISTS (SELECT FROM revived)
    ON CONFLICT (provider, model, query_prefix, document_prefix) WHERE state <> 'retired' DO UPDATE SET url = excluded.url
    RETURNING id, provider, url, model, query_prefix, document_prefix, dimension, state)
SELECT * FROM revived UNION ALL SELECT * FROM made
