-- The database of a private Postgres, made once, before anything connects to it.
--
-- Called by: pgrecall_runtime::embedded::create, in single-user mode, in the database template1, where each line is one statement. Nothing but the database is
-- made here: pg_dump leaves out the objects that single-user mode makes. The extension is made over a connection (pgrecall_runtime::embedded::extension).
CREATE DATABASE pgrecall;
