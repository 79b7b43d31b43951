-- The installation that this database belongs to.
--
-- Called by: backup::restore. One row.
SELECT id FROM installation
