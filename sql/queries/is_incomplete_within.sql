-- Returns whether a record that a filter selects has an open or parked job.
--
-- Called by: recall::is_incomplete_within, only while something waits. Starts at the open jobs;
-- index: sources_pkey.
-- Beyond 2,000 jobs none is looked at, and the answer is yes: a recall must not wait for a million,
-- and a note too many is better than one too few.
WITH open AS MATERIALIZED (
    SELECT j.source FROM index_jobs j
    WHERE j.tenant_id = current_setting('pgrecall.tenant') AND j.space = $15::int4
      AND j.source_kind = ANY ($1::text[]) AND (j.status <> 'failed' OR j.next_run_at < 'infinity')
    LIMIT 2001)
SELECT (SELECT count(*) > 2000 FROM open)
    OR EXISTS (SELECT FROM open WHERE EXISTS (SELECT FROM sources s WHERE s.id = open.source AND {filter} OFFSET 0))
       AS is_incomplete
