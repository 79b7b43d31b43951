-- Records that pass a filter, the newest first.
--
-- Called by: review::list. Index: sources_pkey, backwards from where the last page ended ($15). Of a text so much as is asked for ($17): a document
-- may be 16 MB.
SELECT {hit}, left(s.body, $17::int4) AS text, '' AS heading
FROM sources s
WHERE {filter} AND ($15::int8 IS NULL OR s.id < $15::int8)
ORDER BY s.id DESC
LIMIT $16::int8
