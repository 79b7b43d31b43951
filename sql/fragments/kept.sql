-- Builds a whole record as one JSON object with its own end of validity, to be restored later.
--
-- Used by: keep_forgotten.sql and keep_versions.sql.
-- own_valid_to is the end from before a successor ended the record; infinity means that it had
-- none, NULL that no successor ended it.
{exported} - CASE WHEN s.own_valid_to IS NULL THEN '' ELSE 'valid_to' END
       || CASE WHEN isfinite(s.own_valid_to) THEN jsonb_build_object('valid_to', s.own_valid_to) ELSE '{}' END
