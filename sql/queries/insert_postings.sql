-- Inserts postings.
--
-- Called by: write::write. The lists of passages come as text, since unnest would flatten arrays of
-- arrays.
INSERT INTO postings (tenant_id, source, source_kind, term, frequency, length, ordinals)
SELECT current_setting('pgrecall.tenant'), r.source, r.source_kind, r.term, r.frequency, r.length, r.ordinals::int4[]
FROM unnest($1::int8[], $2::text[], $3::text[], $4::int4[], $5::int4[], $6::text[])
    AS r (source, source_kind, term, frequency, length, ordinals)
ORDER BY r.source_kind, r.term, r.source
