-- Refreshes the planner's statistics of the tables that have grown.
--
-- Called by: corpora::recount, when a corpus has changed by more than a tenth. V28 has the
-- function.
SELECT refresh_planner_statistics()
