-- Serializes the writers of the same text by one owner, until the end of the transaction.
--
-- Called by: write::write, before find_same.sql, which then sees what the writer before has
-- committed.
SELECT FROM (SELECT pg_advisory_xact_lock(hashtext('pgrecall.remember'), hashtext(current_setting('pgrecall.owner') || $1))) AS locked
