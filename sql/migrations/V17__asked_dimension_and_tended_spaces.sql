-- The length that a model is asked for is part of what it makes: one name at 512 and at 1,536 numbers has two spaces. 0 is the model's own.
ALTER TABLE embedding_spaces ADD COLUMN asked_dimension int NOT NULL DEFAULT 0 CHECK (asked_dimension BETWEEN 0 AND 4000);
DROP INDEX embedding_spaces_by_model;
CREATE UNIQUE INDEX embedding_spaces_by_model ON embedding_spaces (provider, model, asked_dimension, query_prefix, document_prefix)
    WHERE state <> 'retired';

-- When a worker last looked whether a space lacks something. One that is being built, and that nobody has looked at for long while another answers,
-- is left over from a change that was taken back before it was over.
ALTER TABLE embedding_spaces ADD COLUMN tended_at timestamptz NOT NULL DEFAULT clock_timestamp();

-- Whether it was what took a record's place that ended it, and not whoever wrote when it ends: brought back, it then has no end.
ALTER TABLE sources ADD COLUMN ended_by_successor boolean NOT NULL DEFAULT false;
