# Dumps the database into $DUMPS, keeps the newest $KEEP dumps, and runs the command $ONWARD, if it is set, to copy the new dump elsewhere.
# Connects to SESSION_DATABASE_URL: pg_dump uses one snapshot for many statements, which a transaction pooler does not support.
DUMP="$DUMPS/pgrecall-$(date -u +%Y%m%dT%H%M%SZ).dump"
# The dump has a temporary name until it is complete.
trap 'rm -f "$DUMP.part"' EXIT
pg_dump --format=custom --file="$DUMP.part" "$SESSION_DATABASE_URL"
# Reject a dump whose table of contents cannot be read.
pg_restore --list "$DUMP.part" > /dev/null
mv "$DUMP.part" "$DUMP"
echo "dumped $(wc -c < "$DUMP") bytes into $DUMP"
ls -1t "$DUMPS"/pgrecall-*.dump | tail -n "+$((KEEP + 1))" | while read -r old; do rm -f "$old"; done
if [ -n "$ONWARD" ]; then
    export DUMP
    sh -eu -c "$ONWARD"
fi
