-- Drops the spaces that were replaced longer ago than they are kept, in seconds.
--
-- Called by: spaces::drop_retired. See the function in V7 for its lock.
SELECT drop_retired_spaces($1::float8 * interval '1 second') AS dropped
