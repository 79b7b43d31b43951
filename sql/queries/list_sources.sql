-- Records that pass a filter, the newest first.
--
-- Called by: review::list. Index: sources_pkey, backwards from where the last page ended ($6). Of a text so much as is asked for ($8): a document
-- may be 16 MB.
SELECT {hit}, left(s.body, $8::int4) AS text, '' AS heading
FROM sources s
WHERE {filter} AND ($6::int8 IS NULL OR s.id < $6::int8)
ORDER BY s.id DESC
LIMIT $7::int8
