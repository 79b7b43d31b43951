-- Retires every space but this one, and drops their waiting jobs: the first half of making it the active one.
--
-- Called by: spaces::activate, when every passage has its vector in the space, or when there is no active space yet.
-- mark_space_active.sql follows in the same transaction: at no time are two active (one_space_is_active).
WITH retired AS (
    UPDATE embedding_spaces SET state = 'retired', retired_at = clock_timestamp() WHERE id <> $1::int4 AND state <> 'retired' RETURNING id),
abandoned AS (
    DELETE FROM index_jobs WHERE space IN (SELECT id FROM retired) AND status <> 'running')
SELECT count(*) FROM retired
