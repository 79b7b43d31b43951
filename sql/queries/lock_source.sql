-- Locks a record that the caller is about to read, change and write.
--
-- Called by: correct::update. Index: sources_by_id.
-- The caller splits the text inside the transaction, which is slow for a long text: the transaction
-- may be idle for longer than begin.sql allows.
SELECT s.source_id, set_config('idle_in_transaction_session_timeout', '60s', true)
FROM sources s
WHERE s.tenant_id = current_setting('pgrecall.tenant') AND s.source_id = $1
FOR UPDATE OF s
