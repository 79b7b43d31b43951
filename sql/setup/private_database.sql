-- The database of a private Postgres, made once, before anything connects to it.
--
-- Called by: shared::embedded::create, in single-user mode, in the database template1, where each line is one statement. The extension
-- goes into the template first, so that the database is never there without it.
CREATE EXTENSION IF NOT EXISTS vector;
CREATE DATABASE pgrecall;
