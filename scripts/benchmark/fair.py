"""Measures how one caller's flood of requests slows the recalls of other callers.

Three callers make one recall after the other, each with its own API key: alone, and while a greedy
caller with another key floods the server over SSE or over plain HTTP. No question is asked twice,
so that each question is embedded.
"""
import http.client
import json
import pathlib
import subprocess
import sys
import threading
import time

import corpus
import floor
import recall
from flood import CALLS_OF_SESSION, CONNECTIONS, HEADERS, SESSIONS, message
from over_http import Server
from program import Failed
from report import spread

SIZE = 10_000
OTHERS = 3
# The goal for the ratio of the others' p99 under a flood to their p99 alone.
GOAL = 3
FILLS = 3
# Number of rounds, and seconds of each side in a round.
PLAN = {True: (2, 10), False: (5, 20)}
FLOODS = {"sse": f"{SESSIONS} SSE sessions of {CALLS_OF_SESSION} calls", "http": f"{CONNECTIONS} HTTP connections"}
ALONE = "alone"


class Questions:
    """Hands out questions to threads, none twice."""

    def __init__(self, memories):
        self.made, self.lock, self.memories = [], threading.Lock(), memories
        self.taken = 0

    def next(self):
        with self.lock:
            if not self.made:
                self.made = list(self.memories.questions(2_000))
            self.taken += 1
            # The number makes a different text of a question that was asked before.
            return f"{self.made[self.taken % len(self.made)]} {self.taken}"


class Flood:
    """The greedy caller's process."""

    def __init__(self, kind, address, key, questions):
        command = [sys.executable, pathlib.Path(__file__).with_name("flood.py"), kind, address, key, questions]
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        """Stops the process, and returns how many answers it got."""
        answered, _ = self.process.communicate(timeout=60)
        return int(answered)


def others(address, keys, questions, seconds):
    """Runs the other callers, and returns the seconds of each recall and the refused ones."""
    latencies, refused, until, lock = [], [], time.monotonic() + seconds, threading.Lock()

    def client(key):
        headers = {**HEADERS, "Authorization": f"Bearer {key}"}
        connection = http.client.HTTPConnection(address, timeout=60)
        while time.monotonic() < until:
            begin = time.perf_counter()
            connection.request("POST", "/mcp", message(1, questions.next()), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            took = time.perf_counter() - begin
            with lock:
                latencies.append(took)
                if response.status != 200 or "error" in answer or answer["result"].get("isError"):
                    refused.append(str(answer)[:200])

    threads = [threading.Thread(target=client, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, refused


def key_of(home, name):
    """Creates an API key whose caller may read the memories, in place of an older one."""
    if name in home.run("keys", "list"):
        home.run("keys", "revoke", name)
    return json.loads(home.run("keys", "create", name, "--user", "local", "--json"))["key"]


def measure(options):
    rounds, seconds = PLAN[options.quick]
    memories = corpus.Memories(SIZE)
    home, _ = recall.prepare(options, memories)
    questions, asked = Questions(memories), home.folder / "flood.txt"
    asked.write_text("\n".join(memories.questions(2_000)))
    taken, refused, flooded = {}, {}, {}
    with Server(home) as server:
        keys = [key_of(home, f"bench-{number}") for number in range(OTHERS)]
        greedy = key_of(home, "bench-greedy")
        others(server.address, keys, questions, 2)
        for number in range(rounds):
            for side in (ALONE, *FLOODS):
                flood = Flood(side, server.address, greedy, asked) if side != ALONE else None
                if flood:
                    # Waits until the flood has filled its queue.
                    time.sleep(FILLS)
                latencies, turned_away = others(server.address, keys, questions, seconds)
                answered = flood.stop() if flood else 0
                if not latencies:
                    raise Failed(f"nobody was answered in {seconds} s under a flood over {side}")
                taken.setdefault(side, []).append(floor.summary(latencies, len(latencies) / seconds))
                if turned_away:
                    options.say(f"refused under a flood over {side}: {turned_away[0]}")
                refused[side] = refused.get(side, 0) + len(turned_away)
                flooded.setdefault(side, []).append(answered / (seconds + FILLS))
            options.say(f"round {number + 1}: p99 " + ", ".join(f"{of[-1]['p99_ms']:.0f} ms {side}" for side, of in taken.items()))
    result = {"sides": {}, "callers": OTHERS, "goal": GOAL}
    for side, of in taken.items():
        figures = recall.over_rounds(of)
        figures["refused"], figures["flood_per_second"] = refused[side], spread(flooded[side])
        if side != ALONE:
            figures["p99_over_alone"] = spread([loud["p99_ms"] / alone["p99_ms"] for loud, alone in zip(of, taken[ALONE])])
        result["sides"][side] = figures
    return result


def show(result, table):
    rows = []
    for side, figures in result["sides"].items():
        ratio = table.spread(figures["p99_over_alone"]) if "p99_over_alone" in figures else ""
        name = FLOODS.get(side, "nothing")
        rows.append((name, *[table.spread(figures[figure]) for figure in ("p50_ms", "p99_ms", "per_second")], figures["refused"], ratio))
    heads = ("beside them", "p50 ms", "p99 ms", "per second", "refused", f"p99 over alone, goal {result['goal']}")
    table.print(f"Recalls of {result['callers']} callers from {SIZE:,} memories, one after the other each", heads, rows)
