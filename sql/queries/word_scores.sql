-- Returns the query's terms, with their parts of the BM25 score, for the best candidates.
--
-- Called by: recall::candidates. Index: postings_pkey (index-only).
-- Candidates are the sources that hold the rarest terms ($15), and the given sources ($21): those
-- of the vector search or, in a second call without terms that generate candidates, added
-- neighbors.
-- A frequent term adds little to a score and most to the work: candidates come from the rarest
-- terms until about 5,000 postings are read, which keeps 0.976 of the full ranking's top ten at a
-- fifth of its time. The other terms count for those candidates only. A term is scanned ($17) or,
-- if it is in far more sources than there are candidates, probed for each of them ($19). The
-- postings of one source lie on different pages: through postings_by_source, 300 sources took
-- 10,000 page reads (17 ms instead of 3).
-- `IS TRUE` keeps the planner from turning a filter into a join, which would hash the postings and
-- not the candidates. Filters are checked in the order of the scores, so that only rows near the
-- top are read. The contribution of a term is returned without its weight, so that the program can
-- change the weights (decision 21).
WITH generating AS MATERIALIZED (
    SELECT p.source, t.place, t.weight, {bm25} AS contribution
    FROM unnest($15::text[], $16::float8[]) WITH ORDINALITY AS t (term, weight, place)
    JOIN postings p ON p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = t.term),
generated AS MATERIALIZED (
    SELECT source, sum(weight * contribution) AS bm25 FROM generating GROUP BY source),
candidates AS MATERIALIZED (
    SELECT source, coalesce(generated.bm25, 0) AS bm25, generated.bm25 IS NOT NULL AS is_generated, given.is_given IS NOT NULL AS is_given
    FROM generated
    FULL JOIN (SELECT source, true AS is_given FROM unnest($21::int8[]) AS given (source)) AS given USING (source)),
others AS MATERIALIZED (
    SELECT p.source, cardinality($15::text[]) + t.place AS place, t.weight, {bm25} AS contribution
    FROM unnest($17::text[], $18::float8[]) WITH ORDINALITY AS t (term, weight, place)
    JOIN postings p ON p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = t.term
    WHERE (p.source IN (SELECT source FROM candidates)) IS TRUE
    UNION ALL
    SELECT c.source, cardinality($15::text[]) + cardinality($17::text[]) + t.place, t.weight, {bm25}
    FROM unnest($19::text[], $20::float8[]) WITH ORDINALITY AS t (term, weight, place)
    CROSS JOIN candidates c
    CROSS JOIN LATERAL (
        SELECT p.frequency, p.length FROM postings p
        WHERE p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = t.term
          AND p.source = c.source
        OFFSET 0) AS p),
scored AS MATERIALIZED (
    SELECT c.source, c.is_generated, c.is_given, c.bm25 + coalesce(o.bm25, 0) AS bm25
    FROM candidates c
    LEFT JOIN (SELECT source, sum(weight * contribution) AS bm25 FROM others GROUP BY source) AS o ON o.source = c.source),
chosen AS MATERIALIZED (
    SELECT source FROM scored WHERE is_given
    UNION ALL
    (SELECT ranked.source
     FROM (SELECT source, bm25 FROM scored WHERE is_generated ORDER BY bm25 DESC, source) AS ranked
     CROSS JOIN LATERAL (SELECT FROM sources s WHERE s.id = ranked.source AND {filter} OFFSET 0) AS visible
     LIMIT $23::int8))
SELECT found.source, found.place::int4, found.contribution
FROM (SELECT source, place, contribution FROM generating UNION ALL SELECT source, place, contribution FROM others) AS found
WHERE (found.source IN (SELECT source FROM chosen)) IS TRUE
