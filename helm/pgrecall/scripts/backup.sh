# Dumps the database into $DUMPS, keeps the newest $KEEP, and takes the new one onward by $ONWARD, if that is set.
# Of SESSION_DATABASE_URL: a dump holds one snapshot over many statements, which a transaction pooler cannot.
DUMP="$DUMPS/pgrecall-$(date -u +%Y%m%dT%H%M%SZ).dump"
# Under another name until it is whole.
trap 'rm -f "$DUMP.part"' EXIT
pg_dump --format=custom --file="$DUMP.part" "$SESSION_DATABASE_URL"
# A dump whose list cannot be read is none.
pg_restore --list "$DUMP.part" > /dev/null
mv "$DUMP.part" "$DUMP"
echo "dumped $(wc -c < "$DUMP") bytes into $DUMP"
ls -1t "$DUMPS"/pgrecall-*.dump | tail -n "+$((KEEP + 1))" | while read -r old; do rm -f "$old"; done
if [ -n "$ONWARD" ]; then
    export DUMP
    sh -eu -c "$ONWARD"
fi
