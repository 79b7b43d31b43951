#!/usr/bin/env python3
"""Runs the test binaries of the workspace, several at once, and prints each output at its end.

usage: run_tests.py

`cargo test` runs one binary after the other, with as many tests at once as there are processors.
Most tests wait for a server or an embedder, so that half of the processors' time would be idle
(decision 34). The longest binaries start first. The binaries that test the SQL statements run on
both versions of Postgres.
"""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Concurrent binaries, and concurrent tests in each.
BINARIES = 2
THREADS = os.cpu_count() or 1
# Seconds until a binary is killed. Its output then names the test that hangs.
TIMEOUT = 2400
# The longest binaries, longest first: the name of the binary and of its package.
LONGEST = [("system", "system-tests"), ("it", "mcp-server"), ("it", "shared"), ("pgrecall_server", "pgrecall-server")]
# The binaries that run on the newer Postgres as well.
STATEMENTS = [("it", "shared"), ("pgrecall_store", "pgrecall-store")]
NEWER_POSTGRES = "18"


def binaries():
    """Builds the test binaries. Yields the name, package, path and folder of each."""
    command = ["cargo", "test", "--quiet", "--locked", "--workspace", "--no-run", "--message-format", "json"]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    for line in built.stdout.splitlines():
        artifact = json.loads(line)
        if artifact.get("executable") and artifact["profile"]["test"]:
            identity = artifact["package_id"].rsplit("/", 1)[-1]
            package = identity.split("#")[1].split("@")[0] if "@" in identity else identity.split("#")[0]
            yield artifact["target"]["name"], package, artifact["executable"], Path(artifact["manifest_path"]).parent


def main():
    jobs = []
    for name, package, path, folder in binaries():
        jobs.append((f"{package}: {name}", (name, package), path, folder, {}))
        if (name, package) in STATEMENTS:
            title = f"{package}: {name}, on Postgres {NEWER_POSTGRES}"
            jobs.append((title, (name, package), path, folder, {"PGRECALL_TEST_POSTGRES": NEWER_POSTGRES}))
    missing = [key for key in LONGEST + STATEMENTS if key not in {job[1] for job in jobs}]
    if missing:
        sys.exit(f"error: there are no test binaries {missing}: name them in {__file__} as they are called now")
    rank = {key: place for place, key in enumerate(LONGEST)}
    jobs.sort(key=lambda job: rank.get(job[1], len(rank)))
    printing, failed = threading.Lock(), []

    def run(job):
        title, _, path, folder, more = job
        begin = time.monotonic()
        command = [path, "--test-threads", str(THREADS)]
        try:
            done = subprocess.run(command, cwd=folder, env={**os.environ, **more}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT)
            output, passed = done.stdout, done.returncode == 0
        except subprocess.TimeoutExpired as timeout:
            output, passed = timeout.stdout or b"", False
            output += f"error: still running after {TIMEOUT} s\n".encode()
        with printing:
            sys.stdout.write(f"\n--- {title} ({time.monotonic() - begin:.0f} s)\n{output.decode(errors='replace')}")
            sys.stdout.flush()
            if not passed:
                failed.append(title)

    with ThreadPoolExecutor(BINARIES) as pool:
        list(pool.map(run, jobs))
    if failed:
        sys.exit("error: tests failed in " + "; ".join(failed))


if __name__ == "__main__":
    main()
