-- The records that name given URNs, the newest first.
--
-- Called by: recall::stages::retrieve. Index: labels_pkey.
SELECT scope.id AS source FROM ({scope}) AS scope ORDER BY scope.id DESC LIMIT $15::int8
