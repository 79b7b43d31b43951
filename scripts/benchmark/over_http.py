"""Compares MCP over HTTP with stdio, with the bare SQL, and with the official memory server.

All use the same memories and questions. The questions are asked before the rounds, so that their
embeddings are in the server's cache, and only the way to Postgres and back is measured.
"""
import http.client
import json
import threading
import time

import corpus
import floor
import recall
import server_memory
from program import Failed, memory
from report import spread

SIZE = 10_000
CLIENTS = (1, 8, 64)
# The server has ten connections, so more clients wait in it. Those of pgbench would not wait.
FLOOR = (1, 8)
# Rounds; recalls per round for each number of clients; writes per round; seconds of a round of
# pgbench; searches of the peer per round.
PLAN = {True: (2, (100, 200, 400), 100, 4, 60), False: (5, (300, 800, 1600), 400, 8, 200)}
SIDES = {"http": "HTTP", "stdio": "stdio", "floor": "pgbench", "peer": "server-memory"}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


class Server:
    """A running `mcp-server serve` over HTTP in a home."""

    def __init__(self, home):
        log = home.folder / "http.log"
        with open(log, "w") as errors:
            self.process = home.spawn("mcp-server", "serve", "--transport", "http", "--address", "127.0.0.1:0", stderr=errors)
        until = time.monotonic() + 60
        while "MCP is served at" not in log.read_text():
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failed(f"the server does not listen: {log} says why")
            time.sleep(0.05)
        self.address = log.read_text().partition("MCP is served at http://")[2].partition("/mcp")[0]
        self.ask(http.client.HTTPConnection(self.address), "memory_recall", {"query": "ready?"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)

    def ask(self, connection, tool, arguments):
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        connection.request("POST", "/mcp", json.dumps(message), HEADERS)
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200 or "error" in answer or answer["result"].get("isError"):
            raise Failed(f"the server refused a request with {response.status}: {str(answer)[:300]}")
        return answer["result"]["structuredContent"]

    def all(self, tool, calls, clients):
        """Makes the calls, a connection per client. Returns (seconds of each, seconds in all)."""
        waiting, latencies, failed, lock = iter(calls), [], [], threading.Lock()

        def client():
            connection = http.client.HTTPConnection(self.address)
            try:
                while True:
                    with lock:
                        arguments = next(waiting, None)
                    if arguments is None:
                        return
                    begin = time.perf_counter()
                    self.ask(connection, tool, arguments)
                    latencies.append(time.perf_counter() - begin)
            except Exception as error:
                failed.append(error)

        begin = time.perf_counter()
        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise Failed(f"{len(failed)} clients failed: {failed[0]}")
        return latencies, time.perf_counter() - begin


def measure(options):
    rounds, counts, writes, seconds, searches = PLAN[options.quick]
    memories = corpus.Memories(SIZE)
    home, _ = recall.prepare(options, memories)
    folder = options.folder / "floor-http"
    folder.mkdir(exist_ok=True)
    questions = list(memories.questions(floor.CAPTURED))
    recall.write(folder / "questions.jsonl", questions)
    taken, written, resident, answered = {}, {}, [], []

    def note(side, clients, latencies, elapsed):
        taken.setdefault((side, clients), []).append(floor.summary(latencies, len(latencies) / elapsed))

    with Server(home) as server, home.session() as session, server_memory.start(options, memories) as peer:
        recall.wait_counted(home, SIZE)
        scripts = floor.capture(home, folder / "questions.jsonl", folder)
        server.all("memory_recall", ({"query": question} for question in questions), 4)
        session.recall_all(questions, 4)
        for number in range(rounds):
            for clients, count in zip(CLIENTS, counts):
                asked = [questions[at % len(questions)] for at in range(count)]
                note("http", clients, *server.all("memory_recall", ({"query": question} for question in asked), clients))
                note("stdio", clients, *session.recall_all(asked, clients))
                if clients in FLOOR:
                    latencies, rate = floor.run(home, scripts, clients, seconds, folder)
                    taken.setdefault(("floor", clients), []).append(floor.summary(latencies, rate))
                    latencies, elapsed, found = server_memory.search_all(peer, asked[:searches], clients)
                    note("peer", clients, latencies, elapsed)
                    answered.append(found / searches)
            for clients in CLIENTS[:2]:
                contents = ({"content": f"Note {number}-{clients}-{at}: the checkout of shop {at} was slow."} for at in range(writes))
                latencies, elapsed = server.all("memory_remember", contents, clients)
                written.setdefault(clients, []).append(floor.summary(latencies, len(latencies) / elapsed))
            resident.append(memory(server.process.pid)["rss"])
            options.say(f"round {number + 1}: {taken['http', 1][-1]['p50_ms']:.1f} ms over HTTP, {taken['floor', 1][-1]['p50_ms']:.1f} ms under pgbench")
    result = {"peer_answered": spread(answered), "recall": {}, "remember": {str(clients): recall.over_rounds(of) for clients, of in written.items()}, "resident_mib": spread(resident)}
    for clients in CLIENTS:
        sides = {side: recall.over_rounds(taken[side, clients]) for side in SIDES if (side, clients) in taken}
        if clients in FLOOR:
            pairs = zip(taken["http", clients], taken["floor", clients])
            sides["p50_over_floor"] = spread([ours["p50_ms"] / bare["p50_ms"] for ours, bare in pairs])
            pairs = zip(taken["http", clients], taken["peer", clients])
            sides["rate_over_peer"] = spread([ours["per_second"] / theirs["per_second"] for ours, theirs in pairs])
        result["recall"][str(clients)] = sides
    return result


def show(result, table):
    rows = []
    for clients, sides in result["recall"].items():
        for side, name in SIDES.items():
            if side not in sides:
                continue
            figures = sides[side]
            over = [table.spread(sides[ratio]) if side == "http" and ratio in sides else "" for ratio in ("p50_over_floor", "rate_over_peer")]
            rows.append((clients, name, *[table.spread(figures[figure]) for figure in ("p50_ms", "p99_ms", "per_second")], *over))
    heads = ("at once", "", "p50 ms", "p99 ms", "per second", "p50 over pgbench", "rate over server-memory")
    table.print(f"Recall from {SIZE:,} memories, embeddings cached", heads, rows)
    print(f"\nserver-memory found something for {result['peer_answered']['median']:.0%} of the questions")
    rows = [(clients, table.spread(of["p50_ms"]), table.spread(of["p99_ms"]), table.spread(of["per_second"])) for clients, of in result["remember"].items()]
    table.print("Remember over HTTP", ("at once", "p50 ms", "p99 ms", "per second"), rows)
    print(f"\nThe server's resident memory afterwards: {table.spread(result['resident_mib'])} MiB")
