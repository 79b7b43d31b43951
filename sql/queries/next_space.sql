-- The space that is being filled beside the active one, if there is one: of several the one that was looked at last, to the minute, or else
-- the newest.
--
-- Called by: spaces::next. One that nobody fills any more stays for a while (retire_untended_spaces.sql), and can be newer than one that was
-- taken up again.
SELECT id, provider, url, model, asked_dimension, query_prefix, document_prefix, dimension, state
FROM embedding_spaces
WHERE state IN ('building', 'ready') AND EXISTS (SELECT FROM embedding_spaces WHERE state = 'active')
ORDER BY date_trunc('minute', tended_at) DESC, id DESC
LIMIT 1
