-- When a record ended by itself, where what took its place ended it earlier: brought back, it ends then again (`infinity`: it does not). The owner, who
-- migrates, has no policy and sees no row while row-level security is forced.
ALTER TABLE sources ADD COLUMN own_valid_to timestamptz;
ALTER TABLE sources NO FORCE ROW LEVEL SECURITY;
UPDATE sources old SET own_valid_to = 'infinity'
WHERE old.status = 'superseded'
  AND NOT EXISTS (SELECT FROM sources new WHERE new.tenant_id = old.tenant_id AND new.source_id = old.superseded_by
                                            AND greatest(old.valid_from, new.valid_from) IS DISTINCT FROM old.valid_to);
ALTER TABLE sources FORCE ROW LEVEL SECURITY;
