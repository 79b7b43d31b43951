-- Gives the jobs of the CTE `wanted` their start tags, as `tagged`: they follow each other in the
-- flow of the CTE `f`.
--
-- Used by: the statements that enqueue what they find. Index: index_jobs_flow_end.
start AS MATERIALIZED (
    SELECT f.space, f.flow, start.tag FROM f CROSS JOIN LATERAL (
        {start}) AS start),
tagged AS (
    SELECT w.tenant_id, w.source_kind, w.source, start.space, start.tag + (w.upto - w.items) * interval '1 millisecond' AS order_key, w.items,
           CASE WHEN w.upto = w.total THEN start.flow END AS flow,
           CASE WHEN w.upto = w.total THEN start.tag + w.upto * interval '1 millisecond' END AS flow_end
    FROM (SELECT *, sum(items) OVER (ORDER BY source) AS upto, sum(items) OVER () AS total FROM wanted) AS w CROSS JOIN start)
