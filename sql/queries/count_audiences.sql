-- The audiences with many sources ($1 at the least), and those of which that was stored: how many sources each has now, where that is not nearly what was
-- stored. 0: it has few now.
--
-- Called by: corpora::recount. Index-only on sources_by_owner. Each audience is judged by its own growth: when its words are counted says nothing about
-- anybody else's records.
WITH counted AS (
    SELECT tenant_id, source_kind, audience(visibility, persona, owner_id) AS audience, count(*) AS sources
    FROM sources GROUP BY 1, 2, 3 HAVING count(*) >= $1::int8)
SELECT tenant_id, source_kind, audience, coalesce(c.sources, 0) AS sources
FROM counted c FULL JOIN audience_corpora a USING (tenant_id, source_kind, audience)
WHERE a.sources IS NULL OR abs(coalesce(c.sources, 0) - a.sources) > a.sources / 10
