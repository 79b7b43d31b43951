-- Returns the newest records that have one of the given URNs.
--
-- Called by: recall::stages::retrieve. Index: labels_pkey.
SELECT scope.id AS source FROM ({search_set}) AS scope ORDER BY scope.id DESC LIMIT $15::int8
