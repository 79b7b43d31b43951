-- Returns the target space that is being filled while another one is active.
--
-- Called by: spaces::next.
-- Of several, returns the one that a reconciler visited last, to the minute, and then the newest. A
-- space that no worker fills any more stays for a while (retire_untended_spaces.sql), and can be
-- newer than one that was reactivated.
SELECT id, provider, url, model, asked_dimension, query_prefix, document_prefix, dimension, state
FROM embedding_spaces
WHERE state IN ('building', 'ready') AND EXISTS (SELECT FROM embedding_spaces WHERE state = 'active')
ORDER BY date_trunc('minute', tended_at) DESC, id DESC
LIMIT 1
