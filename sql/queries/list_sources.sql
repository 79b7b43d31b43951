-- Lists the records that pass a filter, newest first.
--
-- Called by: review::list. Index: sources_pkey, backwards from the end of the last page ($15).
-- Returns the first $17 characters of each text: a document may have 16 MB.
SELECT {hit}, left(s.body, $17::int4) AS text, '' AS heading
FROM sources s
WHERE {filter} AND ($15::int8 IS NULL OR s.id < $15::int8)
ORDER BY s.id DESC
LIMIT $16::int8
