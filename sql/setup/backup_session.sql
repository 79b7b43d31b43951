-- Prepares a session for a backup: search path, time zone, no row-level security, timeouts.
--
-- Called by: backup::connect and integrity::check.
-- With row_security off, Postgres refuses a statement that a policy would filter, instead of
-- silently leaving out rows.
SET search_path = pgrecall, public;
SET timezone = 'UTC';
SET row_security = off;
SET statement_timeout = '6h';
SET lock_timeout = '60s'
