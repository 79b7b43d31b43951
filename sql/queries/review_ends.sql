-- Where a look for duplicates ended, if there is more.
--
-- Called by: review::duplicates. Index: sources_by_owner.
SELECT CASE WHEN count(*) = $7::int8 THEN min(id) END AS last
FROM (SELECT s.id FROM sources s
      WHERE {filter} AND s.owner_id = ($5::text[])[2] AND s.status = 'active' AND ($6::int8 IS NULL OR s.id < $6::int8)
      ORDER BY s.id DESC LIMIT $7::int8) AS mine
