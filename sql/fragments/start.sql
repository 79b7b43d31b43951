-- Returns the start tag of the next job of a flow, f.flow in f.space.
--
-- Used by: the statements that enqueue. Index: index_jobs_flow_end.
-- The tag is where the flow ends or, if nothing of it waits, the present virtual time. Without the
-- bound on flow_end the look-up would pass the dead entries of all jobs that the flow ever had
-- while a snapshot is open. nextval moves the clock by a microsecond, so that no two flows start at
-- the same tag: a claim begins at the tag where the last one ended, and would read all jobs that
-- share it.
SELECT greatest(clock.now, (SELECT j.flow_end FROM index_jobs j
                            WHERE j.space = f.space AND j.flow = f.flow AND j.flow_end > clock.now
                            ORDER BY j.flow_end DESC LIMIT 1)) AS tag
FROM (SELECT timestamptz 'epoch' + nextval(('queue_clock_' || f.space % 4)::regclass) * interval '1 microsecond' AS now) AS clock
