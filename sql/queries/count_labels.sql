-- Counts the records of each tag or collection that the caller may read, the most frequent first.
--
-- Called by: review::count_labels, for a person at the command line.
-- Index: none: a count reads every active record of the tenant once. suggest.sql, which answers
-- while a person types, reads only the newest.
SELECT said.value, count(*) AS records
FROM sources s
CROSS JOIN LATERAL unnest(CASE WHEN $1::bool THEN s.tags ELSE ARRAY[s.collection] END) AS said (value)
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.status = 'active'
      AND said.value <> '' AND starts_with(lower(said.value), lower($2::text))
GROUP BY said.value
ORDER BY count(*) DESC, said.value
LIMIT $3::int8
