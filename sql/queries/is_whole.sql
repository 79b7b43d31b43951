-- Whether every passage has its vector in a space.
--
-- Called by: spaces::activate_when_whole.
SELECT NOT EXISTS (
    SELECT FROM passages p
    WHERE NOT EXISTS (SELECT FROM {vectors} v WHERE v.passage = p.id AND v.text_hash = p.text_hash)) AS whole
