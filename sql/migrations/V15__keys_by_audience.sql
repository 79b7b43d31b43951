-- Keys are found by plain columns: one that thousands keep privately is looked up in one place, and not in as many.
--
-- A function in an index is not leakproof, so that under row-level security it filters what was read and does not begin the search. What the
-- same people see is one of three things, and each has its index. The function stays for programs of the version before.

-- Writers wait from the beginning: one that came in between would hold what the end wants. Reads go on.
LOCK TABLE sources IN EXCLUSIVE MODE;
CREATE UNIQUE INDEX sources_by_tenant_key ON sources (tenant_id, source_kind, collection, key)
    WHERE key IS NOT NULL AND visibility = 'tenant';
CREATE UNIQUE INDEX sources_by_persona_key ON sources (tenant_id, source_kind, collection, key, persona)
    WHERE key IS NOT NULL AND visibility = 'persona';
CREATE UNIQUE INDEX sources_by_owner_key ON sources (tenant_id, source_kind, collection, key, owner_id)
    WHERE key IS NOT NULL AND visibility = 'private';
DROP INDEX sources_by_key;
