-- Returns the nearest passages of some stored vectors, by exact distance.
--
-- Called by: backup::Facts::of, with each table of vectors, since the result must be the same after
-- an upgrade.
-- The `+ 0` leaves no index for the order, so that the result is exact.
SELECT q.passage AS asked, n.passage AS found
FROM (SELECT passage, embedding FROM {table} ORDER BY passage LIMIT 5) q
CROSS JOIN LATERAL (SELECT v.passage FROM {table} v ORDER BY (v.embedding <=> q.embedding) + 0, v.passage LIMIT 5) n
