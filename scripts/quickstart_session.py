#!/usr/bin/env python3
"""Runs one MCP session on stdio, and prints it for a person: remember, recall, search.

usage: quickstart_session.py MCP_SERVER
"""
import json
import os
import subprocess
import sys
import time

MEMORIES = [
    "Net revenue is gross revenue minus refunds and discounts; finance closes it on the third working day.",
    "The orders_v2 table replaced orders in March; its owner is the checkout team.",
    "Dana prefers weekly summaries on Friday afternoon, as bullet points.",
]
QUESTIONS = ["How do we calculate what we really earned?", "Who is responsible for orders_v2?", "When should I send Dana a report?"]
SEARCHES = ["What happens when the embedder is down?", "How do I run the tests?"]


class Session:
    """An MCP client with only what this session needs: one JSON object per line."""

    def __init__(self, command):
        # The server's messages of level info would only clutter the output.
        quiet = {"PGRECALL_LOG": "warn", **os.environ}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet)
        self.last_id = 0

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def request(self, method, params):
        self.last_id += 1
        self.send({"id": self.last_id, "method": method, "params": params})
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self.last_id:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']['message']}")
                return answer["result"]
        sys.exit("the server ended the session: its log is above")

    def call(self, tool, arguments):
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            sys.exit(f"{tool}: {result['content'][0]['text']}")
        return result["structuredContent"]


def shown(text, width=110):
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    session = Session([sys.argv[1]])
    hello = session.request(
        "initialize",
        {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "quickstart", "version": "1"}},
    )
    session.send({"method": "notifications/initialized"})
    tools = [tool["name"] for tool in session.request("tools/list", {})["tools"]]
    print(f"connected to {hello['serverInfo']['name']} {hello['serverInfo']['version']}: {', '.join(tools)}")

    print("\nremember")
    for number, memory in enumerate(MEMORIES, 1):
        # With a key, so that a second quickstart does not duplicate these memories.
        session.call("memory_remember", {"content": memory, "key": f"quickstart-{number}"})
        print(f"  + {shown(memory)}")
    deadline = time.monotonic() + 60
    while (status := session.call("index_status", {}))["pending"] + status["running"] > 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    print(f"  embedded: {status['coverage']:.0%} of everything stored")

    empty = False
    for title, tool, questions, field in (
        ("recall", "memory_recall", QUESTIONS, ("memories", "content")),
        ("search", "search", SEARCHES, ("results", "text")),
    ):
        print(f"\n{title}")
        for question in questions:
            answer = session.call(tool, {"query": question, "limit": 2})
            print(f"  ? {question}   [{answer['ranking']}{', degraded' if answer['degraded'] else ''}]")
            hits = answer[field[0]]
            empty = empty or not hits
            for hit in hits:
                name = f"{hit['title']}: " if hit.get("title") else ""
                print(f"    {hit['score']:.2f}  {shown(name + hit[field[1]])}")
    session.process.stdin.close()
    session.process.wait(timeout=30)
    if empty:
        sys.exit("a question found nothing: see `mcp-server doctor`")


if __name__ == "__main__":
    main()
