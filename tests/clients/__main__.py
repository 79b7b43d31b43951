"""Holds a session with each client that is no SDK, over stdio and over HTTP, and prints a table.

usage: clients MCP_SERVER ENVIRONMENTS

Starts MCP_SERVER with a temporary home. ENVIRONMENTS is the folder of the virtual environments.
`scripts/check clients` calls this.
"""
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import session

# The virtual environment of each client.
CLIENTS = {
    "fastmcp": "agents",
    "pydantic-ai": "agents",
    "openai-agents": "agents",
    "langchain-mcp-adapters": "langchain",
}
# Seconds until the server listens, or a session is killed.
PATIENCE = 120


def listen(server, log):
    """Returns the URL at which the server says that it listens."""
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        if said := re.search(r"MCP is served at (http://\S+/mcp)", log.read_text()):
            return said[1]
        time.sleep(0.1)
    sys.exit(f"error: the server does not listen:\n{log.read_text()}")


def hold(client, python, to):
    """Runs a session. Returns the client's version, the number of steps that passed, and the output."""
    command = [python, Path(__file__).with_name("session.py"), client, to]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        output, errors = done.stdout, done.stderr.decode()
    except subprocess.TimeoutExpired as timeout:
        output, errors = timeout.stdout or b"", f"error: still running after {PATIENCE} s"
    name, *steps = output.decode().splitlines() or [f"{client} -"]
    return name.split()[1], len(steps), errors


def main(program, environments):
    failed = False
    with tempfile.TemporaryDirectory(prefix="pgrecall-clients-") as folder:
        # As root, Postgres runs as another user, which must be able to enter the folder.
        os.chmod(folder, 0o755 if os.geteuid() == 0 else 0o700)
        os.environ["PGRECALL_HOME"] = f"{folder}/home"
        log = Path(folder) / "mcp-server.log"
        command = [program, "serve", "--transport", "http", "--address", "127.0.0.1:0"]
        server = subprocess.Popen(command, stderr=log.open("w"))
        try:
            transports = {"stdio": program, "http": listen(server, log)}
            print(f"{'client':<24}{'version':<10}{'transport':<11}steps passed")
            for client, environment in CLIENTS.items():
                for transport, to in transports.items():
                    version, passed, errors = hold(client, f"{environments}/{environment}/bin/python", to)
                    print(f"{client:<24}{version:<10}{transport:<11}{passed} of {session.COUNT}", flush=True)
                    if passed < session.COUNT:
                        failed = True
                        print(errors, file=sys.stderr)
        finally:
            server.terminate()
            server.wait(PATIENCE)
    sys.exit("error: a session failed" if failed else 0)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
