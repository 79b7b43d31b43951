-- Marks a space as active: the second half of an activation, after activate_space.sql.
--
-- Called by: spaces::activate, in the same transaction.
-- A separate statement, because Postgres checks the unique index (one_space_is_active) row by row.
UPDATE embedding_spaces SET state = 'active', activated_at = clock_timestamp(), retired_at = NULL
WHERE id = $1::int4 AND dimension IS NOT NULL AND state <> 'active'
