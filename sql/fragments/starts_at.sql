-- Where a passage `p` begins in the text of its source `s`, in characters.
--
-- Used by: the statements that show passages.
coalesce(p.starts_at, strpos(s.body, p.text) - 1)
