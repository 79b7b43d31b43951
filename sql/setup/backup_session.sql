-- Makes a session of its own ready for a backup: names are found, and no policy filters what it reads; a login that a policy concerns is refused.
--
-- Called by: backup::connect.
SET search_path = pgrecall, public;
SET timezone = 'UTC';
SET row_security = off;
SET statement_timeout = '6h';
SET lock_timeout = '60s'
