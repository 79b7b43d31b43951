-- Creates the database of a private Postgres, once, before anything connects to it.
--
-- Called by: runtime::embedded::create, in single-user mode, in the database template1, where each
-- line is one statement.
-- Creates nothing but the database: pg_dump leaves out objects that single-user mode creates. The
-- extension is created over a connection (make_extension.sql).
CREATE DATABASE pgrecall;
