-- Tells the planner how the tables have grown.
--
-- Called by: corpora::recount, when a corpus has changed by a tenth. See the function in V28.
SELECT refresh_planner_statistics()
