-- BM25 by words: the best sources that the rarest terms bring, and the scores of the sources that are asked for.
--
-- Called by: recall::arms, with the vectors' candidates to be scored as well, and once more for the neighbours that came in, then
-- without leading terms. Index: postings_pkey (index-only).
-- A frequent term adds little to a score and most to the work: candidates come from the rarest terms until about 5,000 postings are
-- read, which keeps 0.976 of the full ranking's top ten at a fifth of its time. The other terms count for those candidates only: a term
-- is read from end to end ($8), or, where it stands in far more sources than there are candidates, looked up for each of them ($10).
-- The postings of a source lie apart, a page each: through postings_by_source 300 sources take 10,000 page reads (17 ms for 3).
-- `IS TRUE` keeps the planner from making a join of a filter: it would build its hash table of the postings, not of the candidates.
-- Filters are asked in the order of the scores, so that only rows near the top are read.
WITH lead AS MATERIALIZED (
    SELECT p.source, sum(t.idf * p.frequency * 2.2 / (p.frequency + 1.2 * (0.4 + 0.6 * p.length / $13::float8))) AS bm25
    FROM unnest($6::text[], $7::float8[]) AS t (term, idf)
    JOIN postings p ON p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = t.term
    GROUP BY p.source),
candidates AS MATERIALIZED (
    SELECT source, coalesce(lead.bm25, 0) AS bm25, lead.bm25 IS NOT NULL AS leads, asked.known IS NOT NULL AS asked
    FROM lead
    FULL JOIN (SELECT source, true AS known FROM unnest($12::int8[]) AS asked (source)) AS asked USING (source)),
others AS (
    SELECT p.source, t.idf, p.frequency, p.length
    FROM unnest($8::text[], $9::float8[]) AS t (term, idf)
    JOIN postings p ON p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = t.term
    WHERE (p.source IN (SELECT source FROM candidates)) IS TRUE
    UNION ALL
    SELECT c.source, t.idf, p.frequency, p.length
    FROM unnest($10::text[], $11::float8[]) AS t (term, idf)
    CROSS JOIN candidates c
    CROSS JOIN LATERAL (
        SELECT p.frequency, p.length FROM postings p
        WHERE p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = t.term
          AND p.source = c.source
        OFFSET 0) AS p),
scored AS MATERIALIZED (
    SELECT c.source, c.leads, c.asked, (c.bm25 + coalesce(o.bm25, 0))::float8 AS bm25
    FROM candidates c
    LEFT JOIN (
        SELECT source, sum(idf * frequency * 2.2 / (frequency + 1.2 * (0.4 + 0.6 * length / $13::float8))) AS bm25
        FROM others GROUP BY source) AS o ON o.source = c.source)
SELECT source, bm25 FROM scored WHERE asked
UNION ALL
(SELECT ranked.source, ranked.bm25
 FROM (SELECT source, bm25 FROM scored WHERE leads ORDER BY bm25 DESC, source) AS ranked
 CROSS JOIN LATERAL (SELECT FROM sources s WHERE s.id = ranked.source AND {filter} OFFSET 0) AS visible
 LIMIT $14::int8)
