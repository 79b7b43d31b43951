-- Returns the sources of a scope with their lengths, up to a bound ($15; NULL: no bound).
--
-- Called by: recall::plan. Indexes: sources_by_owner, sources_by_visibility, or labels_pkey for a
-- filter with labels.
SELECT scope.id AS source, scope.words FROM ({scope}) AS scope LIMIT $15::int8
