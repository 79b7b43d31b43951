# Where the scripts put things. Sourced, not run. Everything can be moved by CARGO_TARGET_DIR, PGRECALL_HOME and PGRECALL_RUNTIME.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$repository/target}
# An ssh session or a cron job may lack what rustup adds to a login shell's PATH.
[ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ] && PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

need() { # program, what to do without it
    command -v "$1" >/dev/null || fail "$1 is not installed: $2"
}
