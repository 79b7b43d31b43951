{exported} - CASE WHEN s.own_valid_to IS NULL THEN '' ELSE 'valid_to' END
       || CASE WHEN isfinite(s.own_valid_to) THEN jsonb_build_object('valid_to', s.own_valid_to) ELSE '{}' END
