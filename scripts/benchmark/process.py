"""Measures the start time and the memory of the programs."""
import json
import time

import corpus
from program import Failed, Home, memory
from report import spread

STARTS = {True: 3, False: 9}
MEMORIES = 500
EMBEDDED_WITHIN = 300


def measure(options):
    home = Home(options.release, options.folder / "process")
    memories = corpus.Memories(MEMORIES)
    path = options.folder / "process.jsonl"
    memories.write(path)
    result = {"start": starts(options, home, memories)}
    with home.session() as session:
        first_recall(session, memories)
        result["server_idle"] = memory(session.process.pid)
        write_anew(home, path)
        wait_embedded(home)
        session.recall_all(memories.questions(100), 8)
        result["server"] = memory(session.process.pid)
        processes = [memory(pid) for pid in home.postgres_pids()]
        result["postgres"] = {size: sum(process[size] for process in processes) for size in ("rss", "pss")}
        result["postgres"]["processes"] = len(processes)
    write_anew(home, path)
    result["worker"] = worker(home)
    return result


def starts(options, home, memories):
    """Measures the seconds from the start to the tool list, and to the answer of a first recall."""
    taken = {name: [] for name in TITLES}

    def once(name):
        with home.session() as session:
            first_recall(session, memories)
            taken[name].append((session.seconds_to_tools, time.perf_counter() - session.started))

    if not (home.folder / "postgres").exists():
        once("first")
    for _ in range(STARTS[options.quick]):
        once("cold")
        with home.session() as holds_postgres:
            first_recall(holds_postgres, memories)
            once("warm")
    return {
        name: {"tools_s": spread([tools for tools, _ in times]), "recall_s": spread([recall for _, recall in times])}
        for name, times in taken.items()
        if times
    }


def first_recall(session, memories):
    """Makes a recall. Its answer may be empty, since the database may be empty."""
    session.call("memory_recall", {"query": memories.question()})


def write_anew(home, path):
    """Writes the memories with new texts, so that all of them must be embedded again."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    mark = f"at {time.time():.3f}"
    path.write_text("".join(json.dumps({**line, "text": f"{line['text']} {mark}"}) + "\n" for line in lines))
    home.run("ingest", path, "--as", "memory", "--no-wait")


def wait_embedded(home):
    deadline = time.monotonic() + EMBEDDED_WITHIN
    while (status := json.loads(home.run("status", "--json")))["pending"] + status["running"] > 0:
        if time.monotonic() > deadline:
            raise Failed(f"{MEMORIES} memories were not embedded in {EMBEDDED_WITHIN} s")
        time.sleep(0.2)


def worker(home):
    """Returns the memory of a worker process after it has embedded; None if it ended early."""
    with open(home.folder / "embed-worker.log", "a") as log:
        process = home.spawn("embed-worker", stderr=log)
    try:
        wait_embedded_by(home, process)
        return memory(process.pid) if process.poll() is None else None
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_embedded_by(home, process):
    time.sleep(1)
    if process.poll() is None:
        wait_embedded(home)


TITLES = {"first": "the first ever, which creates the database", "cold": "no Postgres running", "warm": "Postgres running"}


def show(result, table):
    rows = [
        (TITLES[name], table.spread(times["tools_s"], 1e3), table.spread(times["recall_s"], 1e3))
        for name, times in result["start"].items()
    ]
    table.print("Start", ("", "to tools/list, ms", "to the answer of a first recall, ms"), rows)
    named = {
        "server_idle": "mcp-server, after one recall",
        "server": "mcp-server, after embedding and recalls",
        "worker": "embed-worker, after embedding",
        "postgres": "Postgres, all its processes",
    }
    sizes = [(title, result[name]) for name, title in named.items() if result[name]]
    rows = [(title, *(table.number(size[key]) if key in size else "" for key in ("pss", "rss", "peak_rss"))) for title, size in sizes]
    table.print("Memory, MiB", ("", "proportional (PSS)", "resident (RSS)", "most ever resident"), rows)
