-- The secret of this installation.
--
-- Called by: Engine::open, as a worker: a caller's role may not read it.
SELECT secret FROM installation
