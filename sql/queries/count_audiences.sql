-- Lists the audiences whose number of sources has changed by more than a tenth since the count.
--
-- Called by: corpora::recount. Index-only on sources_by_owner.
-- Covers audiences with at least $1 sources, and those with a stored count; 0 sources means fewer
-- than $1 now. Each audience is recounted by its own growth alone, so that the time of a recount
-- tells nothing about other people's records (decision 26).
WITH counted AS (
    SELECT tenant_id, source_kind, audience(visibility, persona, owner_id) AS audience, count(*) AS sources
    FROM sources GROUP BY 1, 2, 3 HAVING count(*) >= $1::int8)
SELECT tenant_id, source_kind, audience, coalesce(c.sources, 0) AS sources
FROM counted c FULL JOIN audience_corpora a USING (tenant_id, source_kind, audience)
WHERE a.sources IS NULL OR abs(coalesce(c.sources, 0) - a.sources) > a.sources / 10
