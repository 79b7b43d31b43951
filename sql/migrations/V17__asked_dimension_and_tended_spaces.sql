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

-- When a record ended by itself, where what took its place ended it earlier: brought back, it ends then again (`infinity`: it does not). The owner, who
-- migrates, has no policy and sees no row while row-level security is forced.
ALTER TABLE sources ADD COLUMN own_valid_to timestamptz;
ALTER TABLE sources NO FORCE ROW LEVEL SECURITY;
UPDATE sources old SET own_valid_to = 'infinity'
WHERE old.status = 'superseded'
  AND NOT EXISTS (SELECT FROM sources new WHERE new.tenant_id = old.tenant_id AND new.source_id = old.superseded_by
                                            AND greatest(old.valid_from, new.valid_from) IS DISTINCT FROM old.valid_to);
ALTER TABLE sources FORCE ROW LEVEL SECURITY;
