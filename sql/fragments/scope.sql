SELECT s.id, s.words FROM sources s WHERE s.owner_id = $6::text AND {filter}
UNION ALL
SELECT s.id, s.words FROM sources s WHERE s.visibility = 'tenant' AND s.owner_id <> $6::text AND {filter}
UNION ALL
SELECT s.id, s.words FROM sources s
WHERE s.visibility = 'persona' AND s.persona = $7::text AND s.owner_id <> $6::text AND {filter}
