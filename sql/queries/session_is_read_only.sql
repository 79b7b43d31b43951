-- Returns whether the server refuses writes: `on` for a standby or a demoted primary.
--
-- Called by: dsn::pool, before it reuses a connection that was idle for a while, and
-- session::answers; as a simple query.
-- Reads no table and takes no lock. An empty query would show only that the connection lives: after
-- a failover it may live and lead to the wrong server.
SHOW transaction_read_only
