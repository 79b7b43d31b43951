-- Returns the postings of the query's terms in the sources of a small search set.
--
-- Called by: recall::stages::retrieve. Index: postings_pkey (index-only).
-- A term is scanned ($2) or, if it is in far more sources than the search set has, probed for each
-- source ($3): a query on a search set of a hundred must not read the postings of a hundred
-- thousand. `IS TRUE` keeps the planner from turning the filter into a join, as in word_scores.sql.
-- The program computes the sums, with the statistics of this search set alone.
SELECT t.place, p.source, p.frequency, p.length
FROM unnest($2::text[]) WITH ORDINALITY AS t (term, place)
JOIN postings p ON p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = t.term
WHERE (p.source IN (SELECT unnest($4::int8[]))) IS TRUE
UNION ALL
SELECT cardinality($2::text[]) + t.place, p.source, p.frequency, p.length
FROM unnest($3::text[]) WITH ORDINALITY AS t (term, place)
CROSS JOIN unnest($4::int8[]) AS s (source)
CROSS JOIN LATERAL (
    SELECT p.source, p.frequency, p.length FROM postings p
    WHERE p.tenant_id = current_setting('pgrecall.tenant') AND p.source_kind = ANY ($1::text[]) AND p.term = t.term AND p.source = s.source
    OFFSET 0) AS p
