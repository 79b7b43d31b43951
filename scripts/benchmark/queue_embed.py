"""Measures how long an embedder waits for the worker, and how fast the worker stores vectors."""
import time

import corpus
from program import Home, output_of
from queue_sides import Side
from report import spread

# By `quick`: passages for each kind of embedder; rounds and rows of the backfill.
PASSAGES = {True: {"100": 1_600, "local": 800}, False: {"100": 6_400, "local": 4_000}}
ROUNDS, ROWS = {True: 1, False: 3}, {True: 5_000, False: 20_000}
WORDS = 28


class Worker(Side):
    """The loops of a worker that makes one call at a time, in a home of its own."""

    name = "embed_slot"

    def __init__(self, options, home, kind):
        self.home = home
        command = [options.release / "examples" / "embed_slot", kind]
        super().__init__(command, home.environment, home.folder / "embed_slot.log")
        self.vectors = f"vectors_{self.hello['space']}"

    def psql(self, *statements):
        commands = [word for statement in ("SET search_path = pgrecall, public", *statements) for word in ("-c", statement)]
        return output_of([self.home.postgres_folder() / "psql", *self.home.connection(), "-qAtX", *commands, "pgrecall"]).strip()

    def embed_anew(self, passages):
        """Deletes all vectors, and embeds this many sources of one passage each."""
        self.psql(f"TRUNCATE index_jobs, index_job_history, {self.vectors}; UPDATE embedding_spaces SET reconciled_to = 0")
        there = int(self.psql("SELECT count(*) FROM sources"))
        if there > passages:
            self.psql(f"DELETE FROM sources WHERE id > {passages}")
        elif there < passages:
            words = ",".join(corpus.WORDS)
            self.psql(
                f"""
                INSERT INTO sources (id, tenant_id, source_kind, source_id, owner_id, visibility, title, body, format, metadata, tags,
                                     entity_urns, content_hash, words)
                OVERRIDING SYSTEM VALUE
                SELECT n, 'default', 'memory', gen_random_uuid(), 'bench', 'tenant', '', text, 'plain', '{{}}', '{{}}', '{{}}',
                       sha256(text::bytea), {WORDS}
                FROM generate_series({there + 1}, {passages}) n, LATERAL (
                    SELECT string_agg(word[1 + (hashint8(n * {WORDS} + m) & 1073741823) % cardinality(word)], ' ') AS text
                    FROM string_to_array('{words}', ',') word, generate_series(1, {WORDS}) m) made;
                INSERT INTO passages (source, tenant_id, source_kind, ordinal, heading, text, text_hash)
                SELECT id, tenant_id, source_kind, 0, '', body, content_hash FROM sources WHERE id > {there};
                """
            )
        self.psql("VACUUM ANALYZE sources, passages")
        return self.do("embed")


def measure(options):
    home = Home(options.release, options.folder / "queue-embed")
    result = {"slot": {}}
    for kind, passages in PASSAGES[options.quick].items():
        worker = Worker(options, home, kind)
        try:
            taken = worker.embed_anew(passages)
        finally:
            worker.close()
        waited = taken["idle_seconds"] / taken["call_seconds"]
        result["slot"][kind] = {**taken, "waited": waited}
        options.say(f"slot, {kind}: waited {waited:.1%} of {taken['call_seconds']:.1f} s")
    worker = Worker(options, home, "none")
    try:
        result["backfill"] = backfill(options, worker)
    finally:
        worker.close()
    return result


def backfill(options, worker):
    """Compares the rows per second of worker and INSERT, without and with the HNSW index."""
    rows = ROWS[options.quick]
    rates = {(side, index): [] for side in ("worker", "insert") for index in ("without", "with")}
    for _ in range(ROUNDS[options.quick]):
        for index in ("without", "with"):
            worker.psql(f"TRUNCATE {worker.vectors}")
            worker.psql(f"DROP INDEX IF EXISTS {worker.vectors}_embedding_idx")
            if index == "with":
                worker.psql(f"CREATE INDEX {worker.vectors}_embedding_idx ON {worker.vectors} USING hnsw (embedding halfvec_cosine_ops)")
            rates["worker", index].append(rows / worker.embed_anew(rows)["seconds"])
            worker.psql("DROP TABLE IF EXISTS made", f"CREATE UNLOGGED TABLE made AS SELECT * FROM {worker.vectors} ORDER BY passage")
            worker.psql(f"TRUNCATE {worker.vectors}")
            start = time.perf_counter()
            worker.psql(f"INSERT INTO {worker.vectors} SELECT * FROM made")
            rates["insert", index].append(rows / (time.perf_counter() - start))
            options.say(f"{index} index: {rates['worker', index][-1]:,.0f} of {rates['insert', index][-1]:,.0f} rows/s")
    result = {f"{side}_{index}": spread(taken) for (side, index), taken in rates.items()}
    for index in ("without", "with"):
        result[f"ratio_{index}"] = spread([a / b for a, b in zip(rates["worker", index], rates["insert", index])])
    return {"rows": rows, **result}


TITLES = {"100": "a stub of 100 ms", "local": "the local model"}


def show(result, table):
    rows = [
        (TITLES[kind], f"{slot['waited']:.1%}", table.number(slot["jobs"] / slot["seconds"]))
        for kind, slot in result["slot"].items()
    ]
    table.print("The embedder's slot while a backlog exists", ("", "waited for work", "jobs a second"), rows)
    filled = result["backfill"]
    rows = [
        (f"{index} the HNSW index", *(table.spread(filled[f"{side}_{index}"]) for side in ("worker", "insert", "ratio")))
        for index in ("without", "with")
    ]
    heads = ("", "worker, passages a second", "one INSERT of the same rows", "worker / INSERT")
    table.print(f"Backfill of {filled['rows']:,} passages by an embedder that takes no time", heads, rows)
