AND EXISTS (SELECT FROM labels l WHERE l.tenant_id = s.tenant_id AND l.source_kind = s.source_kind
                                   AND l.label = ($2::text[])[{place}] AND l.source = s.id)
