-- Returns which labels and conditions of a filter exclude a record.
--
-- Called by: recall::why_not. Indexes: sources_by_id, labels_pkey.
SELECT s.id AS source, s.source_kind, s.status,
       s.source_kind = ANY ($1::text[]) AS has_kind,
       ARRAY(SELECT wanted FROM unnest($2::text[]) AS wanted
             WHERE NOT EXISTS (SELECT FROM labels l WHERE l.tenant_id = s.tenant_id AND l.source_kind = s.source_kind
                                                      AND l.label = wanted AND l.source = s.id)) AS lacks,
       (cardinality($3::text[]) = 0
        OR EXISTS (SELECT FROM labels l WHERE l.tenant_id = s.tenant_id AND l.source_kind = s.source_kind
                                          AND l.label = ANY ($3::text[]) AND l.source = s.id)) AS names_a_urn,
       ($5::bool OR s.status = 'active' OR (s.status = 'superseded' AND ($4::timestamptz IS NOT NULL OR coalesce(s.valid_to > clock_timestamp(), false)))) AS is_current,
       (($5::bool AND $4::timestamptz IS NULL)
        OR ((s.valid_from IS NULL OR s.valid_from <= coalesce($4::timestamptz, clock_timestamp()))
            AND (s.valid_to IS NULL OR s.valid_to > coalesce($4::timestamptz, clock_timestamp())))) AS is_valid_then,
       (true {fields}) AS has_fields
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = $15
