"""Measures how soon a recall finds a memory by its vector while documents wait to be embedded.

In a home of its own, one owner has 500 documents waiting, and in a second round another owner has
5,000 more. Every few seconds a memory is written, and a recall that shares no word with it is
repeated until it finds it: the seconds count from the receipt of memory_remember. The rate of the
documents counts embedded passages a second, in turns of equal length with and without such writes.
"""
import json
import random
import shutil
import time

import corpus
from program import Failed, Home
from report import spread

# Documents of the caller who writes memories, and of the other owner.
OWN, OTHERS = 500, 5_000
# The goal, and the most seconds that a memory may take.
GOAL, TIMEOUT = 5, 120
# By `quick`: memories for each backlog; seconds of a turn; pairs of turns, without and with writes.
PLAN = {True: (5, 20, 2), False: (10, 45, 4)}
# Words in a document: about three passages.
WORDS = 400
PAUSE = 3
# Memories, each with a question about it that shares no word with it.
MEMORIES = [
    ("Dana cannot eat peanuts.", "food allergies of colleagues"),
    ("The printer on the second floor jams with thick paper.", "malfunctioning office equipment"),
    ("Our landlord raised the rent by eight percent.", "housing costs went up"),
    ("Luis proposed to Marta in Lisbon.", "engagement of a couple in Portugal"),
    ("The kitten sleeps in a shoebox.", "where does the young cat rest"),
    ("Invoices above 900 euros need a signature by the director.", "approval of large bills"),
    ("The violinist broke a string during the encore.", "mishap of a musician at a concert"),
    ("It rained during the whole hike to the glacier.", "wet weather while walking in mountains"),
]


def write_documents(path, count):
    """Writes JSON lines for `mcp-server ingest`, different texts for each file."""
    dice = random.Random(path.name)
    with open(path, "w") as file:
        for number in range(count):
            sentences = [" ".join(dice.choices(corpus.WORDS, k=12)).capitalize() + "." for _ in range(WORDS // 12)]
            file.write(json.dumps({"_id": f"{path.stem}-{number}", "title": f"{path.stem} {number}", "text": " ".join(sentences)}) + "\n")


def ingest(home, owner, count):
    path = home.folder / f"{owner}.jsonl"
    write_documents(path, count)
    home.environment["PGRECALL_USER"] = owner
    home.run("ingest", "--no-wait", path)


def waiting(home):
    return int(home.psql("SELECT count(*) FROM pgrecall.index_jobs WHERE source_kind = 'document'"))


def seconds_until_found(session, text, question):
    session.call("memory_remember", {"content": text})
    receipt = time.perf_counter()
    while time.perf_counter() < receipt + TIMEOUT:
        found = session.call("memory_recall", {"query": question})["memories"]
        if any(memory["content"] == text for memory in found):
            return time.perf_counter() - receipt
        time.sleep(0.1)
    raise Failed(f"no recall found `{text}` within {TIMEOUT} seconds")


def memory_of(number):
    """Returns a memory and a question that finds it, different ones for each number."""
    text, question = MEMORIES[number % len(MEMORIES)]
    return f"{text} ({number})", question


def rate(home, vectors, seconds, write):
    """Returns the passages of documents that are embedded in a second, while `write` is called."""
    embedded = lambda: int(home.psql(f"SELECT count(*) FROM pgrecall.{vectors} WHERE source_kind = 'document'"))
    begin, before = time.perf_counter(), embedded()
    while (left := begin + seconds - time.perf_counter()) > 0:
        write()
        time.sleep(min(PAUSE, left))
    return (embedded() - before) / (time.perf_counter() - begin)


def measure(options):
    rounds, seconds, pairs = PLAN[options.quick]
    folder = options.folder / "freshness"
    shutil.rmtree(folder, ignore_errors=True)
    home = Home(options.release, folder)
    numbers = iter(range(1_000))
    home.environment["PGRECALL_USER"] = "ana"
    with home.session() as session:
        # The first memory makes the table of vectors, and shows that the worker works.
        result = {"alone": spread([seconds_until_found(session, *memory_of(next(numbers))) for _ in range(3)])}
        for backlog, owner, count in (("own", "ana", OWN), ("others", "bob", OTHERS)):
            ingest(home, owner, count)
            result[f"{backlog}_waiting"] = waiting(home)
            found = [seconds_until_found(session, *memory_of(next(numbers))) for _ in range(rounds)]
            if waiting(home) == 0:
                raise Failed("all documents were embedded before the last memory was found: the machine is too fast for this plan")
            result[backlog] = spread(found)
            options.say(f"{backlog}: {result[f'{backlog}_waiting']} documents waited, found after {result[backlog]['median']:.2f} s")
        vectors = home.psql("SELECT 'vectors_' || id FROM pgrecall.embedding_spaces WHERE state = 'active'")
        write = lambda: session.call("memory_remember", {"content": memory_of(next(numbers))[0]})
        turns = [(rate(home, vectors, seconds, lambda: None), rate(home, vectors, seconds, write)) for _ in range(pairs)]
        result["without"], result["with"] = (spread(rates) for rates in zip(*turns))
        result["ratio"] = spread([busy / alone for alone, busy in turns])
        if waiting(home) == 0:
            raise Failed("all documents were embedded before the last turn: the machine is too fast for this plan")
    return result


def show(result, table):
    rows = [
        ("nothing else waits", table.spread(result["alone"]), ""),
        (f"{result['own_waiting']} documents of the same owner wait", table.spread(result["own"]), GOAL),
        (f"{result['others_waiting']} documents wait, most of another owner", table.spread(result["others"]), GOAL),
    ]
    table.print("A memory is found by its vector", ("", "seconds from its receipt", "goal"), rows)
    rows = [
        ("without writes", table.spread(result["without"]), ""),
        (f"a memory every {PAUSE} s", table.spread(result["with"]), table.spread(result["ratio"])),
    ]
    table.print("Documents", ("", "passages a second", "ratio (goal: .9)"), rows)
