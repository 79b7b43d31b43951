-- Finds, reactivates or creates the embedding space of a model.
--
-- Called by: spaces::ensure, by every worker when it starts, and by the first program on a new
-- database. Index: embedding_spaces_by_model.
-- A retired space that was not dropped yet is filled again and keeps its vectors, so that a change
-- of the model can be undone. The URL follows the configuration: the same model behind another URL
-- gives the same vectors.
-- If the configuration asks for the length that the model returned without being asked, it gets
-- that space, whose asked_dimension stays 0. -1 means that the asked length was never stored; the
-- first worker whose configuration fits sets it.
WITH same AS (
    SELECT id FROM embedding_spaces
    WHERE provider = $1 AND model = $3 AND query_prefix = $5 AND document_prefix = $6
      AND (asked_dimension = $4 OR (asked_dimension <= 0 AND dimension = $4) OR (asked_dimension < 0 AND ($4 = 0 OR dimension IS NULL)))
    ORDER BY state <> 'retired' DESC, asked_dimension = $4 DESC, id DESC
    LIMIT 1),
found AS (
    UPDATE embedding_spaces space
    SET state = CASE state WHEN 'retired' THEN 'building' ELSE state END,
        reconciled_to = CASE state WHEN 'retired' THEN 0 ELSE reconciled_to END,
        retired_at = NULL, url = $2, asked_dimension = CASE WHEN asked_dimension < 0 THEN $4 ELSE asked_dimension END, tended_at = clock_timestamp()
    FROM same
    WHERE space.id = same.id
    RETURNING space.*),
made AS (
    INSERT INTO embedding_spaces AS space (provider, url, model, asked_dimension, query_prefix, document_prefix, state)
    SELECT $1, $2, $3, $4, $5, $6, 'building' WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT (provider, model, asked_dimension, query_prefix, document_prefix) WHERE state <> 'retired' DO UPDATE SET url = excluded.url
    RETURNING space.*)
SELECT id, provider, url, model, asked_dimension, query_prefix, document_prefix, dimension, state
FROM (TABLE found UNION ALL TABLE made) space
