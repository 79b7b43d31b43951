-- How many sources a query may answer from, counted up to a bound.
--
-- Called by: recall::scope. Indexes: sources_by_id, or labels_pkey when labels narrow the scope. Decides between an exact pass over
-- the whole scope and the index arms.
SELECT count(*) AS sources FROM (SELECT id FROM ({scope}) AS scope LIMIT $6::int8) AS bounded
