# Restores $DUMPS/$FILE into an empty database, in one transaction: all of it is there afterwards, or nothing.
DUMP="$DUMPS/$FILE"
[ -f "$DUMP" ] || { echo "there is no $DUMP; there are: $(ls "$DUMPS")" >&2; exit 1; }
if [ "$(psql -Atqc "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgrecall'" "$SESSION_DATABASE_URL")" != 0 ]; then
    echo "the database holds a schema pgrecall already: restore into an empty one" >&2
    exit 1
fi
# The roles are the cluster's, and in no dump of a database.
for role in pgrecall_owner pgrecall_server pgrecall_worker; do
    psql -Atqc "DO \$\$ BEGIN CREATE ROLE $role NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$" "$SESSION_DATABASE_URL"
    psql -Atqc "GRANT $role TO CURRENT_USER" "$SESSION_DATABASE_URL"
done
pg_restore --single-transaction --exit-on-error --no-publications --dbname="$SESSION_DATABASE_URL" "$DUMP"
psql -Atqc "ANALYZE" "$SESSION_DATABASE_URL"
echo "restored $DUMP"
