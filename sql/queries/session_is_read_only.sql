-- Whether the server behind a connection takes no writes: `on` for a standby, or for a primary that was demoted.
--
-- Called by: dsn::pool, before a pooled connection is handed out again (a worker's session: after a rest), as a simple query, and
-- session::answers. Touches no table and takes no lock. An empty query would show only that the connection lives: after a failover it may well live, and lead to the wrong server.
SHOW transaction_read_only
