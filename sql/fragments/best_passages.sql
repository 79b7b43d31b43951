SELECT DISTINCT ON (lent.source) lent.source, lent.passage, lent.cosine::float8 AS cosine,
       ((lent.cosine + 0.25 * coalesce(lent.beside, 0.75 * lent.cosine)) / (1 + 0.25 * 0.75))::float8 AS lent
FROM (
    SELECT m.source, m.passage, m.cosine, greatest(lag(m.cosine) OVER document, lead(m.cosine) OVER document) AS beside
    FROM measured m
    JOIN passages p ON p.id = m.passage
    WINDOW document AS (PARTITION BY m.source ORDER BY p.ordinal)) AS lent
ORDER BY lent.source, lent DESC
