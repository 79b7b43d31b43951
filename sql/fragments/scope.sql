SELECT s.id, s.words FROM sources s WHERE s.owner_id = ($5::text[])[2] AND {filter}
UNION ALL
SELECT s.id, s.words FROM sources s WHERE s.visibility = 'tenant' AND s.owner_id <> ($5::text[])[2] AND {filter}
UNION ALL
SELECT s.id, s.words FROM sources s
WHERE s.visibility = 'persona' AND s.persona = ($5::text[])[3] AND s.owner_id <> ($5::text[])[2] AND {filter}
