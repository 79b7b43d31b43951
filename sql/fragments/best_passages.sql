-- Selects the passage of each source with the best boosted cosine.
--
-- Used by: candidate_vectors.sql, whose CTE `measured` has the cosines of the passages.
-- A passage adds a quarter of the cosine of its better adjacent passage. One without adjacent
-- passages adds a quarter of 0.75 of its own, and the division makes its boosted cosine equal to
-- its own (decision 5). Only sources with several passages need their ordinals.
SELECT DISTINCT ON (boosted.source) boosted.source, boosted.passage, boosted.cosine::float8 AS cosine,
       ((boosted.cosine + 0.25 * coalesce(boosted.adjacent, 0.75 * boosted.cosine)) / (1 + 0.25 * 0.75))::float8 AS boosted
FROM (
    SELECT m.source, m.passage, m.cosine, greatest(lag(m.cosine) OVER document, lead(m.cosine) OVER document) AS adjacent
    FROM (
        SELECT source, passage, cosine,
               CASE WHEN count(*) OVER (PARTITION BY source) > 1
                    THEN (SELECT p.ordinal FROM passages p WHERE p.id = measured.passage) END AS ordinal
        FROM measured) AS m
    WINDOW document AS (PARTITION BY m.source ORDER BY m.ordinal)) AS boosted
ORDER BY boosted.source, boosted DESC
