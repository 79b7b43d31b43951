-- Memories that somebody should look at: doubted, past their time and not confirmed since, or not looked at for so long ($15, seconds), the longest first.
--
-- Called by: review::stale. Index: sources_by_owner. Seldom, and by a person: it reads the caller's memories.
SELECT {hit}, s.body AS text, '' AS heading
FROM sources s
WHERE {filter} AND s.owner_id = $6::text
  AND (s.status = 'stale'
       OR (s.status = 'active' AND (s.valid_to < clock_timestamp() AND coalesce(s.last_verified, '-infinity') < s.valid_to
           OR coalesce(s.last_verified, s.updated_at) < clock_timestamp() - $15::float8 * interval '1 second')))
ORDER BY coalesce(s.last_verified, s.updated_at), s.id
LIMIT $16::int8
