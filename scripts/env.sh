# Paths and functions that the scripts share. Sourced, not run. CARGO_TARGET_DIR, PGRECALL_HOME and
# PGRECALL_RUNTIME set other folders.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$repository/target}
# rustup extends the PATH of login shells only, so an ssh session or a cron job may lack its folder.
[ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ] && PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

need() { # program, what to do without it
    command -v "$1" >/dev/null || fail "$1 is not installed: $2"
}
