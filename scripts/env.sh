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

venv() { # folder, file of requirements, what they are
    [ -x "$1/bin/python" ] && cmp -s "$2" "$1/.complete" && return
    say "Fetching $3"
    rm -rf "$1"
    python3 -m venv "$1" || fail "python3 cannot make a virtual environment: install its module venv (Debian: python3-venv)"
    "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2" ||
        fail "pip cannot install $2: this needs Python 3.11 or newer on Linux (x86_64), and an index that has these versions"
    cp "$2" "$1/.complete"
}
