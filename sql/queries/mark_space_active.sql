-- The second half of activate_space.sql, in the same transaction: the unique index is checked row by row.
--
-- Called by: spaces::activate.
UPDATE embedding_spaces SET state = 'active', activated_at = clock_timestamp(), retired_at = NULL
WHERE id = $1::int4 AND dimension IS NOT NULL AND state <> 'active'
