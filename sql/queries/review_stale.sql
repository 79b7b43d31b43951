-- Returns memories to review: stale, past their end, or not verified for $15 seconds.
--
-- Called by: review::stale, rarely and by a person: it reads the caller's memories. Index:
-- sources_by_owner.
-- A memory past its end is left out if it was verified after the end. The longest unverified come
-- first.
SELECT {hit}, s.body AS text, '' AS heading
FROM sources s
WHERE {filter} AND s.owner_id = $6::text
  AND (s.status = 'stale'
       OR (s.status = 'active' AND (s.valid_to < clock_timestamp() AND coalesce(s.last_verified, '-infinity') < s.valid_to
           OR coalesce(s.last_verified, s.updated_at) < clock_timestamp() - $15::float8 * interval '1 second')))
ORDER BY coalesce(s.last_verified, s.updated_at), s.id
LIMIT $16::int8
