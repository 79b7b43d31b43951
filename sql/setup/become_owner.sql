-- Called by: db::migrate, with the schema's search path. What the migrations make belongs to the owner role.
SELECT set_config('role', 'pgrecall_owner', false), set_config('search_path', $1, false)
