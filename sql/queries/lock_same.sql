-- Lets one writer at a time look for what it is about to say.
--
-- Called by: write::write, before find_same.sql, which sees what the writer before it has committed.
SELECT FROM (SELECT pg_advisory_xact_lock(hashtext('pgrecall.remember'), hashtext(current_setting('pgrecall.owner') || $1))) AS locked
