-- Recounts how many sources of a tenant's kind hold each frequent term.
--
-- Called by: corpora::recount, by a worker when a corpus has changed by more than a tenth.
-- Index-only on postings_pkey.
-- Rare terms (at most $3 sources) are left out: a recall counts them itself.
WITH counted AS (
    SELECT term, count(*) AS sources FROM postings
    WHERE tenant_id = $1 AND source_kind = $2
    GROUP BY term HAVING count(*) > $3::int8),
gone AS (
    DELETE FROM word_stats w WHERE tenant_id = $1 AND source_kind = $2
      AND NOT EXISTS (SELECT FROM counted c WHERE c.term = w.term))
INSERT INTO word_stats (tenant_id, source_kind, term, sources)
SELECT $1, $2, term, sources FROM counted
ON CONFLICT (tenant_id, source_kind, term) DO UPDATE SET sources = excluded.sources
