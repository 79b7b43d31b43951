-- Returns where a page of review_duplicates.sql ended, or NULL if it was the last.
--
-- Called by: review::duplicates. Index: sources_by_owner.
SELECT CASE WHEN count(*) = $16::int8 THEN min(id) END AS last
FROM (SELECT s.id FROM sources s
      WHERE {filter} AND s.owner_id = $6::text AND s.status = 'active' AND ($15::int8 IS NULL OR s.id < $15::int8)
      ORDER BY s.id DESC LIMIT $16::int8) AS mine
