-- The sources of a small scope, with their lengths: up to a bound ($15), if there is one.
--
-- Called by: recall::plan. Indexes: sources_by_owner, sources_by_visibility, or labels_pkey when labels narrow the scope.
SELECT scope.id AS source, scope.words FROM ({scope}) AS scope LIMIT $15::int8
