-- Returns the secret of this installation, which seals cursors.
--
-- Called by: Engine::open, in the worker's role: a caller's role may not read it.
SELECT secret FROM installation
