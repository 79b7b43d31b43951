# Restores $DUMPS/$FILE into an empty database, in one transaction: the restore is complete, or it changes nothing but roles.
DUMP="$DUMPS/$FILE"
[ -f "$DUMP" ] || { echo "there is no dump $DUMP; set restore.file to one of: $(ls "$DUMPS")" >&2; exit 1; }
if [ "$(psql -Atqc "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgrecall'" "$SESSION_DATABASE_URL")" != 0 ]; then
    echo "the database already has a schema pgrecall: restore into an empty one" >&2
    exit 1
fi
# Roles belong to the whole Postgres server, so the dump of one database does not contain them.
for role in pgrecall_owner pgrecall_server pgrecall_worker; do
    psql -Atqc "DO \$\$ BEGIN CREATE ROLE $role NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$" "$SESSION_DATABASE_URL"
    psql -Atqc "GRANT $role TO CURRENT_USER" "$SESSION_DATABASE_URL"
done
pg_restore --single-transaction --exit-on-error --no-publications --dbname="$SESSION_DATABASE_URL" "$DUMP"
psql -Atqc "ANALYZE" "$SESSION_DATABASE_URL"
echo "restored $DUMP"
