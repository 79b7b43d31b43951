-- Returns the id of the installation that this database belongs to.
--
-- Called by: backup::restore, on the restored database, and backup::private::restore, on the one
-- that it replaces. One row.
SELECT id FROM installation
