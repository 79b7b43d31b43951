"""Measures filters of different selectivity: completeness, correctness and latency of answers.

Fifty owners have from 30 % to a ten-thousandth of the memories. Each recall is filtered to one
owner: by a label in the metadata and, in a second part, by memories that are private to their
owners. The ground truth is the program's own `--exact`, which scores every record. Plain pgvector
is measured for comparison.
"""
import json
import random
import re

import corpus
import recall
from program import Failed
from report import quantile, spread

LIMITS = (10, 50)
# Rounds; questions per owner in a round; number of owners whose private memories are recalled.
PLAN = {True: (2, 1, 6), False: (5, 2, 12)}
PLAIN = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE IF NOT EXISTS bench.plain AS
    SELECT s.id, s.metadata->>'owner' AS owner, v.embedding FROM pgrecall.sources s JOIN pgrecall.vectors_1 v ON v.source = s.id;
CREATE INDEX IF NOT EXISTS plain_id ON bench.plain (id);
CREATE INDEX IF NOT EXISTS plain_owner ON bench.plain (owner);
SET maintenance_work_mem = '512MB';
CREATE INDEX IF NOT EXISTS plain_embedding ON bench.plain USING hnsw (embedding public.halfvec_cosine_ops);
ANALYZE bench.plain"""


def measure(options):
    size = options.sizes[-1]
    memories = corpus.Memories(size)
    home, _ = recall.prepare(options, memories)
    rounds, each, private = PLAN[options.quick]
    owned = {}
    for number in range(size):
        owned[memories.owner(number)] = owned.get(memories.owner(number), 0) + 1
    owners = sorted(owned, key=owned.get, reverse=True)
    result = {"memories": size, "owners": len(owners), "largest": owned[owners[0]], "smallest": owned[owners[-1]]}
    with home.session() as session:
        session.recall_all(memories.questions(recall.WARM_UP), 8)
        recall.wait_counted(home, size)
        unfiltered = [
            quantile(session.recall_all(memories.questions(each * 50), 1)[0], 0.5) for _ in range(rounds)
        ]
        result["unfiltered_p50_ms"] = spread([seconds * 1e3 for seconds in unfiltered])
        for limit in LIMITS:
            options.say(f"by a label, limit {limit}")
            result[f"label_{limit}"] = by_label(home, session, memories, owned, limit, rounds, each, unfiltered, options)
        options.say("private memories")
        result["private"] = by_owner(home, memories, owned, owners[:: max(1, len(owners) // private)], rounds, each, unfiltered)
        options.say("plain pgvector")
        result["plain"] = {limit: plain(home, owners, limit, each * 2) for limit in LIMITS}
    return result


def timed(session, questions, owned, limit, **filtered):
    """Returns the seconds of each recall. Fails if an answer is not complete."""
    latencies = []
    for owner, question in questions:
        arguments = {"query": question, "limit": limit, "response": "concise"}
        if filtered.get("by_label"):
            arguments["filter"] = {"owner": owner}

        def check(answer):
            if answer["count"] != min(limit, owned[owner]):
                raise Failed(f"{answer['count']} of {owner}'s {owned[owner]} memories came back for a limit of {limit}")

        latencies += session.call_all("memory_recall", [arguments], 1, check)[0]
    return latencies


def by_label(home, session, memories, owned, limit, rounds, each, unfiltered, options):
    p95 = []
    for _ in range(rounds):
        questions = [(owner, question) for owner in owned for question in memories.questions(each)]
        random.Random(len(p95)).shuffle(questions)
        p95.append(quantile(timed(session, questions, owned, limit, by_label=True), 0.95))
    ratios = [filtered / plain for filtered, plain in zip(p95, unfiltered)]
    overlaps = overlap(home, memories, owned, limit, each, options)
    return {"p95_ms": spread([seconds * 1e3 for seconds in p95]), "p95_over_unfiltered_p50": spread(ratios), **overlaps}


def overlap(home, memories, owned, limit, each, options):
    """Returns the share of the exact results that the usual recall finds, and the worst owner's."""
    path = options.folder / "filters.jsonl"
    owners = [owner for owner in owned for _ in range(each)]
    with open(path, "w") as file:
        for number, owner in enumerate(owners):
            file.write(json.dumps({"_id": str(number), "text": memories.question(), "filter": {"owner": owner}}) + "\n")
    found = {}
    for exact in ([], ["--exact"]):
        lines = home.run("recall", "--queries", path, "--limit", str(limit), *exact).splitlines()
        found[bool(exact)] = [{result["key"] for result in json.loads(line)["results"]} for line in lines]
    shares = [len(usual & exact) / max(1, len(exact)) for usual, exact in zip(found[False], found[True])]
    of_owner = {}
    for owner, share in zip(owners, shares):
        of_owner.setdefault(owner, []).append(share)
    worst = min(sum(values) / len(values) for values in of_owner.values())
    return {"overlap": sum(shares) / len(shares), "worst_owner": worst}


def by_owner(home, memories, owned, owners, rounds, each, unfiltered):
    """Measures private memories, where row-level security selects the owner's, and not a filter."""
    home.psql("UPDATE pgrecall.sources SET owner_id = metadata->>'owner'")
    home.psql("VACUUM ANALYZE pgrecall.sources")
    try:
        p95 = {limit: [[] for _ in range(rounds)] for limit in LIMITS}
        for owner in owners:
            home.environment["PGRECALL_USER"] = owner
            with home.session() as session:
                session.call("memory_recall", {"query": memories.question()})
                for limit in LIMITS:
                    for number in range(rounds):
                        questions = [(owner, question) for question in memories.questions(each)]
                        p95[limit][number] += timed(session, questions, owned, limit)
        result = {}
        for limit in LIMITS:
            seconds = [quantile(latencies, 0.95) for latencies in p95[limit]]
            ratios = [filtered / plain for filtered, plain in zip(seconds, unfiltered)]
            result[limit] = {"p95_ms": spread([value * 1e3 for value in seconds]), "p95_over_unfiltered_p50": spread(ratios)}
        return result
    finally:
        home.environment.pop("PGRECALL_USER", None)
        home.psql("UPDATE pgrecall.sources SET owner_id = 'local'")
        home.psql("VACUUM ANALYZE pgrecall.sources")


def plain(home, owners, limit, each):
    """Measures pgvector with defaults: an HNSW index, and a B-tree index on the owner."""
    for statement in PLAIN.strip().split(";"):
        home.psql(statement)
    rows, shares, seconds = [], [], []
    dice = random.Random(3)
    for owner in owners:
        for _ in range(each):
            vector = home.psql(f"SELECT embedding FROM bench.plain WHERE id >= {dice.randrange(10_000)} ORDER BY id LIMIT 1")
            near = f"embedding OPERATOR(public.<=>) '{vector}'::public.halfvec"
            asked = f"SELECT id FROM bench.plain WHERE owner = '{owner}' ORDER BY {near} LIMIT {limit}"
            usual = set(home.psql(asked).split())
            exact = set(home.psql(f"SET enable_indexscan = off; {asked}").split())
            explained = home.psql(f"EXPLAIN (ANALYZE, TIMING OFF) {asked}")
            seconds.append(float(re.search(r"Execution Time: ([\d.]+)", explained)[1]) / 1e3)
            rows.append(len(usual) / max(1, len(exact)))
            shares.append(len(usual & exact) / max(1, len(exact)))
    return {
        "complete": sum(share == 1 for share in rows) / len(rows),
        "rows": sum(rows) / len(rows),
        "overlap": sum(shares) / len(shares),
        "p95_ms": quantile(seconds, 0.95) * 1e3,
    }


def show(result, table):
    percent = lambda share: f"{share * 100:.1f} %"
    rows = []
    for limit in LIMITS:
        ours = result[f"label_{limit}"]
        rows.append((limit, "by a label", "100 %", percent(ours["overlap"]), table.spread(ours["p95_ms"]), table.spread(ours["p95_over_unfiltered_p50"])))
        mine = result["private"][limit]
        rows.append((limit, "private to their owners", "100 %", "", table.spread(mine["p95_ms"]), table.spread(mine["p95_over_unfiltered_p50"])))
        beside = result["plain"][limit]
        rows.append((limit, "plain pgvector, meaning alone", percent(beside["complete"]), percent(beside["overlap"]), table.number(beside["p95_ms"]), ""))
    title = (
        f"One of {result['owners']} owners, of {result['largest']:,} to {result['smallest']:,} of {result['memories']:,} memories "
        f"(without a filter: p50 {table.spread(result['unfiltered_p50_ms'])} ms)"
    )
    table.print(title, ("limit", "", "complete answers", "overlap with exact", "p95 ms", "p95 / unfiltered p50"), rows)
