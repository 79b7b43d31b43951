-- Makes an existing record the successor of others, which end when it begins.
--
-- Called by: correct::supersede, for memories that are duplicates or near-duplicates. Index:
-- sources_by_id.
-- The successor's validity begins now, unless it names another time. find_superseded.sql has locked
-- the records.
WITH new AS (
    UPDATE sources SET valid_from = coalesce(valid_from, least(clock_timestamp(), valid_to)), updated_at = clock_timestamp()
    WHERE tenant_id = current_setting('pgrecall.tenant') AND source_id = $1
      AND EXISTS (SELECT FROM sources old WHERE old.tenant_id = current_setting('pgrecall.tenant') AND old.source_id = ANY ($2::uuid[])
                                            AND old.source_id <> $1 AND old.status <> 'superseded')
    RETURNING source_id, valid_from)
UPDATE sources old SET
    status = 'superseded', superseded_by = new.source_id, updated_at = clock_timestamp(),
    valid_to = greatest(old.valid_from, least(old.valid_to, new.valid_from)),
    own_valid_to = coalesce(old.valid_to, 'infinity')
FROM new
WHERE old.tenant_id = current_setting('pgrecall.tenant') AND old.source_id = ANY ($2::uuid[]) AND old.source_id <> $1
  AND old.status <> 'superseded'
RETURNING old.source_id
