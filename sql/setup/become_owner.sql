-- Sets the owner's role and the schema's search path for the session.
--
-- Called by: db::migrate, so that the owner role owns what the migrations create, and
-- queue::Vacuum.
SELECT set_config('role', 'pgrecall_owner', false), set_config('search_path', $1, false)
