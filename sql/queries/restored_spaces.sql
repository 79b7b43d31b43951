-- Lists the embedding spaces of a restored database.
--
-- Called by: backup::restore.
SELECT provider || '/' || model AS model, dimension, state FROM embedding_spaces WHERE state <> 'retired' ORDER BY id
