-- Returns the tags or collections of the newest records that the caller may read, by frequency.
--
-- Called by: review::suggest. Index: sources_pkey, backwards.
-- Reads the newest 5,000 records at most: a value that thousands of newer records lack is not
-- suggested.
SELECT said.value
FROM (SELECT s.tags, s.collection FROM sources s
      WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.status = 'active' ORDER BY s.id DESC LIMIT 5000) AS newest
CROSS JOIN LATERAL unnest(CASE WHEN $1::bool THEN newest.tags ELSE ARRAY[newest.collection] END) AS said (value)
WHERE said.value <> '' AND starts_with(lower(said.value), lower($2))
GROUP BY said.value
ORDER BY count(*) DESC, said.value
LIMIT 100
