AND NOT EXISTS (
      SELECT FROM unnest($2::text[]) AS wanted
      WHERE NOT EXISTS (SELECT FROM labels l WHERE l.tenant_id = s.tenant_id AND l.source_kind = s.source_kind
                                               AND l.label = wanted AND l.source = s.id))
  AND (cardinality($3::text[]) = 0
       OR EXISTS (SELECT FROM labels l WHERE l.tenant_id = s.tenant_id AND l.source_kind = s.source_kind
                                         AND l.label = ANY ($3::text[]) AND l.source = s.id))
