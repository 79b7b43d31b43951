-- Gives pgvector's extension and its types OIDs in the range that pg_dump and pg_upgrade handle.
--
-- Called by: runtime::embedded::extension, as the superuser, after a private server has started.
-- Older homes got the extension in single-user mode, where OIDs begin at 12000. pg_dump takes every
-- OID below 16384 for a part of Postgres and writes no CREATE EXTENSION; pg_upgrade keeps the OIDs
-- of types, which the new server may use for its own. Stored vectors, columns and indexes do not
-- hold these OIDs, so only catalog rows change, in this one transaction. Changes nothing if the
-- OIDs are right (decision 24).
DO $repair$
DECLARE
    first_user_id CONSTANT oid := 16384;
    extension_id  oid := (SELECT oid FROM pg_extension WHERE extname = 'vector' AND oid < first_user_id);
    highest_id    int8;
    pattern       text;
    found         boolean;
    place         record;
BEGIN
    IF extension_id IS NULL THEN
        RETURN;
    END IF;
    -- Created first: the table has a type of its own, whose OID must not be given away below.
    CREATE TEMP TABLE renumbered (class oid, old oid, new oid) ON COMMIT DROP;
    SELECT greatest(first_user_id::int8, (SELECT max(oid::int8) FROM pg_type), (SELECT max(oid::int8) FROM pg_class),
                    (SELECT max(oid::int8) FROM pg_extension)) INTO highest_id;
    IF highest_id > 4294967000 THEN
        RAISE EXCEPTION 'the object ids of this database are used up';
    END IF;
    INSERT INTO renumbered
    SELECT 'pg_type'::regclass, t.oid, (highest_id + row_number() OVER (ORDER BY t.oid))::oid
    FROM pg_type t
    WHERE t.oid < first_user_id
      AND EXISTS (SELECT FROM pg_depend d JOIN pg_type m ON m.oid = d.objid
                  WHERE d.classid = 'pg_type'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = extension_id
                    AND d.deptype = 'e' AND t.oid IN (m.oid, m.typarray));
    -- Expressions and arrays of vectors hold a type's OID in a form that no UPDATE can change.
    SELECT '\m(' || string_agg(old::text, '|') || ')\M' INTO pattern FROM renumbered;
    FOR place IN
        SELECT a.attrelid::regclass AS catalog, a.attname AS expression,
               CASE WHEN a.attrelid = 'pg_index'::regclass THEN 'indexrelid' ELSE 'oid' END AS id
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE a.atttypid = 'pg_node_tree'::regtype AND c.relkind = 'r' AND c.relnamespace = 'pg_catalog'::regnamespace
          AND EXISTS (SELECT FROM pg_attribute k WHERE k.attrelid = c.oid AND k.attname IN ('oid', 'indexrelid'))
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I >= %s AND %I::text ~ %L)', place.catalog, place.id, first_user_id,
                       place.expression, pattern) INTO found;
        IF found THEN
            RAISE EXCEPTION 'a view, a function or an expression of this database names a type of pgvector (%)', place.catalog;
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN renumbered r ON r.old = t.oid
               WHERE t.typcategory = 'A' AND NOT a.attisdropped) THEN
        RAISE EXCEPTION 'a table of this database stores arrays of vectors';
    END IF;
    -- Statistics are arrays of a column's type. ANALYZE collects them again.
    DELETE FROM pg_statistic s USING pg_attribute a, renumbered r
    WHERE a.attrelid = s.starelid AND a.attnum = s.staattnum AND r.old = a.atttypid;

    FOR place IN
        SELECT k.fktable AS catalog, k.fkcols[1] AS id, k.is_array, a.atttypid = 'oidvector'::regtype AS is_vector
        FROM pg_get_catalog_foreign_keys() k
        JOIN pg_attribute a ON a.attrelid = k.fktable AND a.attname = k.fkcols[1]
        WHERE k.pktable = 'pg_type'::regclass AND k.pkcols = '{oid}'
    LOOP
        IF NOT place.is_array THEN
            EXECUTE format('UPDATE %s c SET %I = r.new FROM renumbered r WHERE c.%2$I = r.old', place.catalog, place.id);
        ELSE
            EXECUTE format(CASE WHEN place.is_vector
                THEN 'UPDATE %s c SET %I = (SELECT string_agg(coalesce(r.new, i.id)::text, '' '' ORDER BY i.at)::oidvector
                                            FROM unnest(c.%2$I::oid[]) WITH ORDINALITY i (id, at) LEFT JOIN renumbered r ON r.old = i.id)
                      WHERE c.%2$I::oid[] && (SELECT array_agg(old) FROM renumbered)'
                ELSE 'UPDATE %s c SET %I = (SELECT array_agg(coalesce(r.new, i.id) ORDER BY i.at)
                                            FROM unnest(c.%2$I) WITH ORDINALITY i (id, at) LEFT JOIN renumbered r ON r.old = i.id)
                      WHERE c.%2$I && (SELECT array_agg(old) FROM renumbered)' END, place.catalog, place.id);
        END IF;
    END LOOP;
    UPDATE pg_type t SET oid = r.new FROM renumbered r WHERE t.oid = r.old;

    INSERT INTO renumbered SELECT 'pg_extension'::regclass, extension_id, highest_id + 1 + (SELECT count(*) FROM renumbered);
    UPDATE pg_extension e SET oid = r.new FROM renumbered r WHERE r.class = 'pg_extension'::regclass AND e.oid = r.old;
    UPDATE pg_depend d SET objid = r.new FROM renumbered r WHERE d.classid = r.class AND d.objid = r.old;
    UPDATE pg_depend d SET refobjid = r.new FROM renumbered r WHERE d.refclassid = r.class AND d.refobjid = r.old;
    UPDATE pg_shdepend d SET objid = r.new FROM renumbered r
    WHERE d.classid = r.class AND d.objid = r.old AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database());
    UPDATE pg_description d SET objoid = r.new FROM renumbered r WHERE d.classoid = r.class AND d.objoid = r.old;
    UPDATE pg_init_privs p SET objoid = r.new FROM renumbered r WHERE p.classoid = r.class AND p.objoid = r.old;
    UPDATE pg_seclabel l SET objoid = r.new FROM renumbered r WHERE l.classoid = r.class AND l.objoid = r.old;
END
$repair$
