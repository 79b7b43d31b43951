-- The passages that are nearest to each of some stored vectors, by exact distances: a question whose answer must outlive an upgrade.
--
-- Called by: backup::facts, with each table of vectors. The order by distance and passage leaves no index to use, so that the answer is exact.
SELECT q.passage AS asked, n.passage AS found
FROM (SELECT passage, embedding FROM {table} ORDER BY passage LIMIT 5) q
CROSS JOIN LATERAL (SELECT v.passage FROM {table} v ORDER BY (v.embedding <=> q.embedding) + 0, v.passage LIMIT 5) n
