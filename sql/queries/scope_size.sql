-- How many sources a query may answer from, counted up to a bound.
--
-- Called by: recall::plan, where the fields of a record or one of several labels narrow the scope. Indexes: sources_by_owner,
-- sources_by_visibility, labels_pkey. Decides between an exact pass over the whole scope and candidates from the indexes.
SELECT count(*) AS sources FROM (SELECT id FROM ({scope}) AS scope LIMIT $15::int8) AS bounded
