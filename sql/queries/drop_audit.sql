-- Drops audit entries that were kept for long enough ($1, days), a part at a time.
--
-- Called by: audit::retain, every hour. The worker has no right to delete them: the function has, and none that is younger than 7 days.
-- Returns whether there may be more.
SELECT drop_old_audit($1::int4) AS more
