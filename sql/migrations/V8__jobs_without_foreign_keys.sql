-- A job of a source that is gone is harmless: it finds no passage, and ends. Its two foreign keys cost a query each at every enqueue,
-- half of the time that an enqueue takes, and a lock that is written to the log. Jobs are written in their source's own transaction;
-- forgetting deletes them beside the source, and only a reconciler that runs at that moment can leave one behind.

ALTER TABLE index_jobs DROP CONSTRAINT index_jobs_source_fkey, DROP CONSTRAINT index_jobs_space_fkey;
GRANT DELETE ON index_jobs TO pgrecall_server;
