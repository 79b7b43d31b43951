-- Counts the sources that a query may return, up to a bound ($15).
--
-- Called by: recall::plan, if the filter has fields of a record or alternative labels. Indexes:
-- sources_by_owner, sources_by_visibility, labels_pkey. The count decides between an exact pass
-- over the search set and candidates from the indexes (decision 6).
SELECT count(*) AS sources FROM (SELECT id FROM ({search_set}) AS found LIMIT $15::int8) AS bounded
