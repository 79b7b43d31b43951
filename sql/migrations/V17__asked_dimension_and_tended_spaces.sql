-- The length that a model is asked for is part of what it makes: one name at 512 and at 1,536 numbers has two spaces. 0 is the model's own.
-- What those that are there were asked for, if anything, nobody knows (-1) until a worker comes whose configuration fits them.
ALTER TABLE embedding_spaces ADD COLUMN asked_dimension int NOT NULL DEFAULT 0 CHECK (asked_dimension BETWEEN -1 AND 4000);
UPDATE embedding_spaces SET asked_dimension = -1 WHERE provider = 'openai';
DROP INDEX embedding_spaces_by_model;
CREATE UNIQUE INDEX embedding_spaces_by_model ON embedding_spaces (provider, model, asked_dimension, query_prefix, document_prefix)
    WHERE state <> 'retired';

-- When a worker last looked whether a space lacks something. One that is being built, and that nobody has looked at for long while another answers,
-- is left over from a change that was taken back before it was over.
ALTER TABLE embedding_spaces ADD COLUMN tended_at timestamptz NOT NULL DEFAULT clock_timestamp();
