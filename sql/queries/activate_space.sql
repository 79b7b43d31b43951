-- Retires every other space and deletes its waiting jobs: the first half of an activation.
--
-- Called by: spaces::activate, when every passage has its vector in the space, or when no space is
-- active yet.
-- mark_space_active.sql follows in the same transaction, so that two spaces are never active at
-- once (one_space_is_active).
WITH retired AS (
    UPDATE embedding_spaces SET state = 'retired', retired_at = clock_timestamp() WHERE id <> $1::int4 AND state <> 'retired' RETURNING id),
abandoned AS (
    DELETE FROM index_jobs WHERE space IN (SELECT id FROM retired) AND status <> 'running')
SELECT count(*) FROM retired
