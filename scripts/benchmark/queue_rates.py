"""Compares our queue with other Postgres queues, and with its own SQL under pgbench, in turn."""
import queue_embed
import queue_postgres
from program import Failed
from queue_floor import Floor
from queue_sides import Ours, peers
from report import quantile, spread

# Rounds; jobs per round in batches and one by one; jobs whose latency is measured.
PLAN = {True: (3, 20_000, 1_000, 200), False: (7, 50_000, 3_000, 1_000)}
# Jobs per claim, and per call that enqueues.
CLAIMED, ENQUEUED = 100, 1_000
# Longer than the time after which any of these queues goes to sleep.
PAUSE_MS = 25


def measure(options):
    missing = {}
    ours = Ours(options)
    sides = [ours]
    try:
        floor = Floor(ours)
        sides += [floor, *peers(options, ours, missing)]
        result = {"missing": missing, "sides": compare(options, sides)}
        for side in sides[2:]:
            side.close()
        del sides[2:]
        result["ours"] = queue_postgres.measure(options, ours)
    finally:
        for side in reversed(sides):
            side.close()
    result["embedder"] = queue_embed.measure(options)
    return result


def compare(options, sides):
    rounds, many, few, latencies = PLAN[options.quick]
    ours = sides[0]
    taken = {side.name: {} for side in sides}

    def note(side, figure, value):
        taken[side.name].setdefault(figure, []).append(value)

    for number in range(rounds):
        for side in sides:
            side.clear()
            for jobs, enqueued, claimed, name in ((many, ENQUEUED, CLAIMED, "batched"), (few, 1, 1, "single")):
                note(side, f"enqueue_{name}", jobs / side.do("enqueue", jobs=jobs, at_once=enqueued)["seconds"])
                # As autovacuum would do for each of them.
                side.analyze()
                before = ours.cpu_seconds(side)
                drained = side.do("drain", jobs=jobs, at_once=claimed)
                if claimed > 1:
                    used = ours.cpu_seconds(side)
                    for whose in ("postgres", "worker"):
                        note(side, f"{whose}_us", (used[whose] - before[whose]) / jobs * 1e6)
                if drained["done"] != jobs:
                    raise Failed(f"{side.name} ran {drained['done']} jobs of {jobs}")
                note(side, f"drain_{name}", jobs / drained["seconds"])
                if side is ours:
                    note(side, f"write_{name}", jobs / side.do("write", jobs=jobs, at_once=enqueued)["seconds"])
                    side.clear()
            if side.name != Floor.name:
                answer = side.do("latency", jobs=latencies // rounds, pause_ms=PAUSE_MS)
                for figure, values in answer.items():
                    taken[side.name].setdefault(figure, []).extend(values)
            options.say(f"round {number + 1}: {side.name}, {taken[side.name]['drain_batched'][-1]:,.0f} jobs/s in batches")
    return {side.name: {"version": side.version, **summary(taken[side.name])} for side in sides}


def summary(taken):
    return {
        figure: {"p50": quantile(values, 0.5), "p99": quantile(values, 0.99), "count": len(values)}
        if figure.endswith("_ms")
        else spread(values)
        for figure, values in taken.items()
    }


RATES = ("drain_batched", "drain_single", "enqueue_batched", "enqueue_single")


def show(result, table):
    rows = []
    for name, side in result["sides"].items():
        latency = [
            " / ".join(f"{side[figure][at]:.2f}" for at in ("p50", "p99")) if figure in side else ""
            for figure in ("enqueue_to_start_ms", "commit_to_start_ms")
        ]
        rows.append((f"{name} {side['version']}".strip(), *(table.spread(side[rate]) for rate in RATES), *latency))
    heads = ("", f"drain, {CLAIMED} at once", "one by one", f"enqueue, {ENQUEUED:,} at once", "one by one")
    heads += ("enqueue to start, p50 / p99 ms", "commit to start")
    table.print("Queues, jobs a second", heads, rows)
    written = [table.spread(result["sides"]["pgrecall"][f"write_{name}"]) for name in ("batched", "single")]
    table.print("pgrecall's enqueue in a transaction that takes on a caller's role and scope, as a write's does", ("", *heads[3:5]), [("", *written)])
    rows = [
        (name, *(table.spread(side[f"{whose}_us"]) if f"{whose}_us" in side else "" for whose in ("postgres", "worker")))
        for name, side in result["sides"].items()
    ]
    title = f"CPU time of a drained job, {CLAIMED} at once, in µs: what other programs on the machine change least"
    table.print(title, ("", "Postgres, all processes", "the worker"), rows)
    for name, why in result["missing"].items():
        print(f"\n{name} was not measured: {why}")
    rows = [(f"over the {name}", *(f"{ratio:.2f}" for ratio in over(result["sides"], name))) for name in ("best peer", Floor.name)]
    table.print("pgrecall's rate as a multiple", heads[:5], rows)
    queue_postgres.show(result["ours"], table)
    queue_embed.show(result["embedder"], table)


def over(sides, what):
    """Yields our rates as multiples of another side's, or of the best peer's."""
    names = [name for name in sides if name not in ("pgrecall", Floor.name)] if what == "best peer" else [what]
    for rate in RATES:
        others = [sides[name][rate]["median"] for name in names]
        yield sides["pgrecall"][rate]["median"] / max(others) if others else float("nan")
