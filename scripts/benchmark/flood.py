"""A greedy caller: sends as many requests as it can, in a process of its own.

usage: flood.py sse|http ADDRESS KEY FILE_OF_QUESTIONS

Stops at the end of its standard input, and prints how many answers it got.
"""
import http.client
import itertools
import json
import os
import pathlib
import sys
import threading

HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
SESSIONS, CALLS_OF_SESSION = 50, 64
CONNECTIONS = 64
# Seconds to wait after a refusal, as in its Retry-After header.
PAUSE = 1


def message(number, question):
    call = {"name": "memory_recall", "arguments": {"query": question}}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call})


class Flood:
    """The threads that send requests until they are told to stop."""

    def __init__(self, address, key, questions):
        self.address = address
        self.headers = {**HEADERS, "Authorization": f"Bearer {key}"}
        self.over, self.answered = threading.Event(), 0
        self.questions, self.numbers = questions, itertools.count(1)

    def run(self, kind):
        target, threads = (self.over_sse, SESSIONS) if kind == "sse" else (self.over_http, CONNECTIONS)
        for _ in range(threads):
            threading.Thread(target=target, daemon=True).start()
        sys.stdin.read()
        self.over.set()
        print(self.answered, flush=True)

    def question(self):
        """Returns a question that was not asked before: the number makes it unique."""
        number = next(self.numbers)
        return f"{self.questions[number % len(self.questions)]} flood {number}"

    def over_http(self):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        while not self.over.is_set():
            try:
                self.post(connection, "/mcp", message(1, self.question()))
                self.answered += 1
            except (http.client.HTTPException, OSError):
                connection.close()

    def over_sse(self):
        while not self.over.is_set():
            try:
                self.session()
            except (http.client.HTTPException, OSError):
                # The server ended this session for another one, or refused it.
                self.over.wait(PAUSE)

    def post(self, connection, path, body):
        connection.request("POST", path, body, self.headers)
        response = connection.getresponse()
        response.read()
        if response.status == 404:
            raise OSError("the session has ended")
        if response.status in (429, 503):
            self.over.wait(PAUSE)

    def session(self):
        stream = http.client.HTTPConnection(self.address, timeout=60)
        stream.request("GET", "/sse", headers={**self.headers, "Accept": "text/event-stream"})
        events, path = stream.getresponse(), None
        while path is None:
            line = events.readline().decode()
            if not line:
                raise OSError("no session")
            if line.startswith("data: "):
                path = line.removeprefix("data: ").strip()
        posts = http.client.HTTPConnection(self.address, timeout=60)
        hello = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "flood", "version": "1"}}
        self.post(posts, path, json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}))
        self.post(posts, path, json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        numbers = itertools.count(1)
        for _ in range(CALLS_OF_SESSION):
            self.post(posts, path, message(next(numbers), self.question()))
        while line := events.readline():
            if line.startswith(b"data: "):
                self.answered += 1
                self.post(posts, path, message(next(numbers), self.question()))


if __name__ == "__main__":
    # Lowers the priority: unlike a remote caller, this process shares the machine with the server.
    os.nice(10)
    kind, address, key, questions = sys.argv[1:]
    Flood(address, key, pathlib.Path(questions).read_text().splitlines()).run(kind)
