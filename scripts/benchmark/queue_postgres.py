"""Measures what our queue costs Postgres.

These are wake-ups, the write-ahead log, the buffers of a claim, claims while a snapshot is open,
and the size of the table of open jobs.
"""
import json
import subprocess
import time

from program import Failed
from queue_floor import query
from report import spread

PRODUCERS = 32
# By `quick`: rounds and jobs of the producers; minutes with an open snapshot; jobs for the size of
# the table of open jobs.
ROUNDS, PRODUCED = {True: 3, False: 7}, {True: 5_000, False: 15_000}
SNAPSHOT_MINUTES = {True: 1, False: 10}
JOBS_IN_ALL = {True: 200_000, False: 2_000_000}
WAITING = 1_000_000
CLAIM_SECONDS = 10


def measure(options, ours):
    result = {}
    for name, part in (
        ("wake_ups", wake_ups),
        ("log", log),
        ("claim", claim_buffers),
        ("snapshot", snapshot),
        ("size", size),
    ):
        options.say(name)
        ours.clear()
        result[name] = part(options, ours)
    ours.clear()
    return result


def wake_ups(options, ours):
    """Returns the jobs per second of many producers, without and with wake-ups, in turn."""
    rates = {"never": [], "after_commit": []}
    for _ in range(ROUNDS[options.quick]):
        for wake, taken in rates.items():
            jobs = PRODUCED[options.quick]
            taken.append(jobs / ours.do("produce", producers=PRODUCERS, jobs=jobs, wake=wake)["seconds"])
            ours.clear()
    cost = [1 - after / never for never, after in zip(rates["never"], rates["after_commit"])]
    return {**{wake: spread(taken) for wake, taken in rates.items()}, "cost": spread(cost)}


def log(options, ours):
    """Returns the bytes of write-ahead log per job: the minimum of some rounds.

    In other rounds, a vacuum or a checkpoint wrote pages of its own.
    """
    jobs, beats, held = 10_000, 1_000, 100
    written = {"enqueue": [], "claim_and_settle": [], "heartbeat": []}

    def bytes_of(what, **command):
        before = ours.psql("SELECT pg_current_wal_insert_lsn()")
        ours.do(what, **command)
        return float(ours.psql(f"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{before}')"))

    for _ in range(4):
        written["enqueue"].append(bytes_of("enqueue", jobs=jobs, at_once=1_000) / jobs)
        # A round without heartbeats gives the log of the claim and of the return of jobs.
        held_only = bytes_of("beat", held=held, beats=0)
        written["heartbeat"].append((bytes_of("beat", held=held, beats=beats) - held_only) / beats / held)
        written["claim_and_settle"].append(bytes_of("drain", jobs=jobs, at_once=100) / jobs)
    least = {figure: min(values) for figure, values in written.items()}
    return {**least, "job": least["enqueue"] + least["claim_and_settle"], "held": held}


def claim_buffers(_options, ours):
    """Returns the buffers of a claim with a million waiting jobs, by custom and generic plan."""
    ours.psql(
        f"""
        INSERT INTO index_jobs (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total)
        SELECT 'bench', 'memory', 100000000 + n, {ours.space}, 'write', clock_timestamp(), 1 FROM generate_series(1, {WAITING}) n;
        """
    )
    ours.psql("VACUUM ANALYZE index_jobs")
    worker = ours.psql("SELECT max(id) FROM workers")
    result = {}
    for plan in ("force_custom_plan", "force_generic_plan"):
        for jobs in (1, 32, 100):
            run = f"EXPLAIN (ANALYZE, BUFFERS, WAL, FORMAT JSON) EXECUTE claim ({ours.space}, {jobs}, {worker}, '-infinity', 1)"
            said = ours.psql(
                f"SET plan_cache_mode = {plan}",
                f"PREPARE claim (int4, int8, int8, timestamptz, int8) AS {query('claim')}",
                # The second run counts: the session has cached the catalog by then, and sees the
                # dead row versions of the first.
                *("BEGIN", run, "ROLLBACK") * 2,
            )
            plan_of = json.loads(said[said.rindex("\n[") :])[0]
            nodes = list(walk(plan_of["Plan"]))
            scan = [node for node in nodes if node.get("Index Name", "").startswith("index_jobs_ready")]
            result[f"{plan}_{jobs}"] = {
                "buffers": read(plan_of["Plan"]),
                "of_the_scan": read(scan[0]) if scan else None,
                "ms": plan_of["Execution Time"],
            }
    return result


def read(node):
    return node["Shared Hit Blocks"] + node["Shared Read Blocks"]


def walk(node):
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def snapshot(options, ours):
    """Returns the claims per second, of one job each, before and while a snapshot is held open."""
    minutes = SNAPSHOT_MINUTES[options.quick]

    def claims():
        turn = ours.do("turn", seconds=CLAIM_SECONDS, jobs=2_000, at_once=1)
        return turn["claims"] / turn["seconds"]

    ours.psql("ANALYZE index_jobs")
    before = [claims() for _ in range(2)][-1]
    command = [ours.home.postgres_folder() / "psql", *ours.home.connection(), "-qAtX", "pgrecall"]
    holder = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM pgrecall.workers;\n")
        holder.stdin.flush()
        holder.stdout.readline()
        over, during = time.monotonic() + 60 * minutes, []
        while time.monotonic() < over:
            during.append(claims())
            options.say(f"{during[-1]:,.0f} claims/s, {before:,.0f} before")
    finally:
        holder.stdin.close()
        holder.wait(timeout=60)
    return {"minutes": minutes, "before": before, "during": during, "kept": during[-1] / before, "after": claims()}


def size(options, ours):
    """Returns peak and final size of the table of open jobs, with its indexes, under load."""
    done, sizes = 0, []
    start = time.perf_counter()
    while done < JOBS_IN_ALL[options.quick]:
        done += ours.do("turn", seconds=5, jobs=10_000, at_once=100)["jobs"]
        sizes.append(int(ours.psql("SELECT pg_total_relation_size('index_jobs')")) / 2**20)
        if time.perf_counter() - start > 3_600:
            raise Failed(f"{done:,} jobs took an hour")
    return {"jobs": done, "per_second": done / (time.perf_counter() - start), "most_mib": max(sizes), "last_mib": sizes[-1]}


def show(result, table):
    wake, written, held = result["wake_ups"], result["log"], result["snapshot"]
    claims, open_table = result["claim"], result["size"]
    rows = [
        (f"enqueued a second by {PRODUCERS} producers, no wake-ups", table.spread(wake["never"])),
        ("the same with wake-ups", table.spread(wake["after_commit"])),
        ("cost of wake-ups, %", table.spread(wake["cost"], 100)),
        ("log, bytes a job: enqueue", table.number(written["enqueue"])),
        ("log, bytes a job: claim and settle", table.number(written["claim_and_settle"])),
        ("log, bytes a job", table.number(written["job"])),
        (f"log, bytes a heartbeat and job, {written['held']} jobs held", table.number(written["heartbeat"])),
        *((f"buffers of a claim, {WAITING:,} jobs waiting: {name}", f"{cell['buffers']} (scan {cell['of_the_scan']})") for name, cell in claims.items()),
        ("claims a second", table.number(held["before"])),
        (f"the same, a snapshot held open for {held['minutes']} min", table.number(held["during"][-1])),
        (f"open table and indexes, MiB, in the course of {open_table['jobs']:,} jobs", table.number(open_table["most_mib"])),
    ]
    table.print("What the queue costs Postgres", ("", ""), rows)
