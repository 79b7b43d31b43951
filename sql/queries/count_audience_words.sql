-- Counts the frequent terms of one audience and kind of a tenant, and stores its size.
--
-- Called by: corpora::recount, by a worker. Indexes: postings_pkey (index-only), and one scan of
-- sources.
-- A term is frequent if more than $4 sources hold it. If the audience is no longer large ($5 is
-- false), the statement deletes its counts.
WITH held AS MATERIALIZED (
    SELECT s.id, s.words FROM sources s
    WHERE s.tenant_id = $1 AND s.source_kind = $2 AND audience(s.visibility, s.persona, s.owner_id) = $3 AND $5::bool),
counted AS (
    SELECT p.term, count(*) AS sources FROM postings p JOIN held ON held.id = p.source
    WHERE p.tenant_id = $1 AND p.source_kind = $2
    GROUP BY p.term HAVING count(*) > $4::int8),
gone AS (
    DELETE FROM audience_words w WHERE tenant_id = $1 AND source_kind = $2 AND audience = $3
      AND NOT EXISTS (SELECT FROM counted c WHERE c.term = w.term)),
words AS (
    INSERT INTO audience_words (tenant_id, source_kind, term, audience, sources)
    SELECT $1, $2, term, $3, sources FROM counted
    ON CONFLICT (tenant_id, source_kind, term, audience) DO UPDATE SET sources = excluded.sources),
corpus_gone AS (
    DELETE FROM audience_corpora WHERE tenant_id = $1 AND source_kind = $2 AND audience = $3 AND NOT $5::bool)
INSERT INTO audience_corpora (tenant_id, source_kind, audience, sources, words)
SELECT $1, $2, $3, count(*), coalesce(sum(words), 0) FROM held HAVING $5::bool
ON CONFLICT (tenant_id, source_kind, audience) DO UPDATE SET sources = excluded.sources, words = excluded.words
