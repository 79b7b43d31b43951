-- Returns the sources of a search set with their lengths, up to a bound ($15; NULL: no bound).
--
-- Called by: recall::plan. Indexes: sources_by_owner, sources_by_visibility, or labels_pkey for a
-- filter with labels.
SELECT found.id AS source, found.words FROM ({search_set}) AS found LIMIT $15::int8
