"""Measures recalls through the program, and their SQL under pgbench, in turn."""
import json
import time

import corpus
import floor
from program import Failed, Home
from report import spread

CLIENTS = (1, 8)
# Rounds; recalls per round of one and of eight clients; seconds of a round of pgbench.
PLAN = {True: (2, 100, 300, 5), False: (5, 200, 800, 10)}
WARM_UP = 50
COUNTED_WITHIN = 120


def measure(options):
    return [measure_size(options, size) for size in options.sizes]


def measure_size(options, size):
    rounds, one, eight, seconds = PLAN[options.quick]
    memories = corpus.Memories(size)
    home, ingest = prepare(options, memories)
    folder = options.folder / f"floor-{size}"
    folder.mkdir(exist_ok=True)
    questions = folder / "questions.jsonl"
    taken = {(side, clients): [] for side in ("program", "floor") for clients in CLIENTS}
    filtered, from_file = [], []
    with home.session() as session:
        session.recall_all(memories.questions(WARM_UP), 8)
        wait_counted(home, size)
        write(questions, memories.questions(floor.CAPTURED))
        scripts = floor.capture(home, questions, folder)
        for _ in range(rounds):
            for clients, count in zip(CLIENTS, (one, eight)):
                latencies, elapsed = session.recall_all(memories.questions(count), clients)
                taken["program", clients].append(floor.summary(latencies, count / elapsed))
                taken["floor", clients].append(floor.summary(*floor.run(home, scripts, clients, seconds, folder)))
            latencies, elapsed = session.recall_all(memories.questions(one), 1, filter={"project": "project-7"})
            filtered.append(floor.summary(latencies, one / elapsed))
            write(questions, memories.questions(one))
            from_file.append(file_rate(home, questions))
            options.say(f"{size:,} memories: {taken['program', 1][-1]['p50_ms']:.1f} ms at one client")
    result = {"memories": size, "ingest": ingest, "filtered": over_rounds(filtered), "queries_file_per_second": spread(from_file)}
    result["statements_per_recall"] = spread([len(script.read_text().split(";\n")) - 1 for script in scripts])
    for clients in CLIENTS:
        sides = {side: over_rounds(taken[side, clients]) for side in ("program", "floor")}
        pairs = zip(taken["program", clients], taken["floor", clients])
        ratio = spread([program["p50_ms"] / beneath["p50_ms"] for program, beneath in pairs])
        result[f"clients_{clients}"] = {**sides, "p50_over_floor": ratio}
    return result


def over_rounds(rounds):
    return {figure: spread([one[figure] for one in rounds]) for figure in rounds[0]}


def prepare(options, memories):
    """Returns a home with the embedded memories, from the last run if it left one."""
    home = Home(options.release, options.folder / f"memories-{memories.count}")
    done = home.folder / "ingested.json"
    if done.exists() and not options.fresh:
        known = json.loads(done.read_text())
        if known["version"] == corpus.VERSION:
            return home, known
    if (home.folder / "postgres").exists():
        raise Failed(f"{home.folder} holds the memories of an older or unfinished run: remove it, then run this again")
    options.say(f"ingesting {memories.count:,} memories")
    path = options.folder / f"memories-{memories.count}.jsonl"
    memories.write(path)
    begin = time.perf_counter()
    home.run("ingest", path, "--as", "memory", "--no-wait")
    stored = time.perf_counter() - begin
    embedded = embed(options, home)
    known = {"version": corpus.VERSION, "stored_per_second": memories.count / stored, "embedded_per_second": memories.count / embedded}
    done.write_text(json.dumps(known))
    path.unlink()
    return home, known


def embed(options, home):
    """Lets the worker in a server embed everything, and returns the seconds that it took."""
    begin = told = time.perf_counter()
    with home.session() as session:
        while True:
            status = session.call("index_status", {})
            if status["failed"]:
                raise Failed(f"{status['failed']} memories could not be embedded: `mcp-server status` says why")
            if status["coverage"] == 1 and status["pending"] + status["running"] == 0:
                return time.perf_counter() - begin
            if time.perf_counter() - told > 60:
                told = time.perf_counter()
                options.say(f"{status['coverage']:.0%} embedded")
            time.sleep(0.5)


def wait_counted(home, size):
    """Waits until a worker has counted the frequent terms, then vacuums as autovacuum would."""
    statement = f"SELECT count(*) FROM pgrecall.corpus_stats WHERE sources > {size} * 0.9"
    deadline = time.monotonic() + COUNTED_WITHIN
    while home.psql(statement) == "0":
        if time.monotonic() > deadline:
            raise Failed("the worker did not count the words")
        time.sleep(0.5)
    home.psql("VACUUM ANALYZE")


def write(path, questions):
    path.write_text("".join(json.dumps({"_id": f"q{number}", "text": text}) + "\n" for number, text in enumerate(questions)))


def file_rate(home, questions):
    """Returns the recalls per second of `recall --queries`, from its first answer to its last."""
    process = home.spawn("mcp-server", "recall", "--queries", questions, stdout=-1)
    times = [time.perf_counter() for _ in process.stdout]
    if process.wait() != 0 or len(times) < 2:
        raise Failed("`mcp-server recall --queries` failed")
    return (len(times) - 1) / (times[-1] - times[0])


def show(results, table):
    rows = []
    for result in results:
        name = f"{result['memories']:,}"
        for clients in CLIENTS:
            cell = result[f"clients_{clients}"]
            for side, title in (("program", "MCP on stdio"), ("floor", "SQL under pgbench")):
                rows.append((name, clients, title, *figures(cell[side], table)))
            rows.append((name, clients, "MCP / pgbench, p50", table.spread(cell["p50_over_floor"]), "", ""))
        rows.append((name, 1, "MCP, filter to 1 %", *figures(result["filtered"], table)))
        rows.append((name, 4, "recall --queries", "", "", table.spread(result["queries_file_per_second"])))
    table.print("Recall, the query's embedding included", ("memories", "at once", "", "p50 ms", "p99 ms", "per second"), rows)
    rows = [
        (f"{r['memories']:,}", table.number(r["ingest"]["stored_per_second"]), table.number(r["ingest"]["embedded_per_second"]))
        for r in results
    ]
    table.print("Ingest", ("memories", "stored per second", "embedded per second"), rows)


def figures(summary, table):
    return [table.spread(summary[figure]) for figure in ("p50_ms", "p99_ms", "per_second")]
