-- An audit entry has an id: one that is written twice, after a spill or after a commit whose answer was lost, is stored once. Programs of the
-- version before write none. And it names the records that the call touched, by their ids alone.
ALTER TABLE audit_log ADD COLUMN entry_id uuid, ADD COLUMN record_ids uuid[] NOT NULL DEFAULT '{}';
CREATE UNIQUE INDEX audit_log_by_entry ON audit_log (entry_id);

-- No role that a program works under may change or delete an entry. Old ones go through a function whose minimum age no caller chooses; the owner's
-- policies state the same age, so that a later change of the function cannot delete more.
REVOKE UPDATE, DELETE, TRUNCATE ON audit_log FROM pgrecall_worker, pgrecall_server;
CREATE POLICY old_entries ON audit_log FOR SELECT TO pgrecall_owner USING (at < now() - interval '7 days');
CREATE POLICY old_entries_end ON audit_log FOR DELETE TO pgrecall_owner USING (at < now() - interval '7 days');

-- Deletes at most 5,000 entries that are older than so many days, never one of the last seven days. Returns whether there may be more.
CREATE FUNCTION drop_old_audit(retention_days int) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = pgrecall, pg_temp
AS $$
    WITH dropped AS (
        DELETE FROM audit_log WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM audit_log WHERE at < now() - greatest(retention_days, 7) * interval '1 day' LIMIT 5000))
        RETURNING 1)
    SELECT count(*) = 5000 FROM dropped
$$;
REVOKE EXECUTE ON FUNCTION drop_old_audit(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_old_audit(int) TO pgrecall_worker;
