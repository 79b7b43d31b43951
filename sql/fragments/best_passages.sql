SELECT DISTINCT ON (lent.source) lent.source, lent.passage, lent.cosine::float8 AS cosine,
       ((lent.cosine + 0.25 * coalesce(lent.beside, 0.75 * lent.cosine)) / (1 + 0.25 * 0.75))::float8 AS lent
FROM (
    SELECT m.source, m.passage, m.cosine, greatest(lag(m.cosine) OVER document, lead(m.cosine) OVER document) AS beside
    FROM (
        SELECT source, passage, cosine,
               CASE WHEN count(*) OVER (PARTITION BY source) > 1
                    THEN (SELECT p.ordinal FROM passages p WHERE p.id = measured.passage) END AS ordinal
        FROM measured) AS m
    WINDOW document AS (PARTITION BY m.source ORDER BY m.ordinal)) AS lent
ORDER BY lent.source, lent DESC
