-- Returns whether amcheck, the extension that checks indexes, is installed.
--
-- Called by: integrity::check.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'amcheck') AS installed
