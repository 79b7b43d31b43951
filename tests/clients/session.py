#!/usr/bin/env python3
"""Holds one MCP session of a client from PyPI with mcp-server. Prints the client, then each step that passed.

usage: session.py CLIENT MCP_SERVER|URL

CLIENT is a name of `adapters.ADAPTERS`. With a path, the client starts the server and speaks over
stdio; the server gets the variables PGRECALL_*. With a URL, it speaks over HTTP.
"""
import asyncio
import os
import sys
import tempfile
from pathlib import Path

import adapters

TOOLS = {"memory_remember", "memory_recall", "memory_manage", "memory_forget", "search", "fetch", "save", "index_status"}
FACT = "Dana is allergic to peanuts and shellfish."
OTHER = "The orders_v2 table replaced orders in March; its owner is the checkout team."
# Has no word of the fact, so only the vectors find it.
QUESTION = "Which foods make a colleague sick?"
# Number of results that a recall asks for.
LIMIT = 3
# Seconds until everything is embedded.
PATIENCE = 60


def expect(holds, found):
    if not holds:
        raise AssertionError(f"unexpected: {found}")


class Session:
    """The steps after the connection, in their order. Each raises if the server answers wrongly."""

    def __init__(self, client):
        self.client, self.memory = client, None

    async def list_tools(self):
        names = await self.client.tools()
        expect(TOOLS <= set(names), names)

    async def remember(self):
        kept = [await self.client.call("memory_remember", {"content": text, "tags": ["e2e"]}) for text in (FACT, OTHER)]
        # Sessions in the same home store the same texts.
        expect(all(it["stored"] in ("created", "unchanged") for it in kept), kept)
        self.memory = kept[0]["id"]

    async def embedded(self):
        while (await self.client.call("index_status", {}))["coverage"] < 1:
            await asyncio.sleep(0.1)

    async def recall(self):
        await asyncio.wait_for(self.embedded(), PATIENCE)
        found = await self.client.call("memory_recall", {"query": QUESTION, "limit": LIMIT})
        expect(found["memories"] and found["memories"][0]["content"] == FACT and not found["degraded"], found)

    async def recall_with_text_for_a_number(self):
        found = await self.client.call("memory_recall", {"query": QUESTION, "limit": "1"})
        expect([it["content"] for it in found["memories"]] == [FACT], found)

    async def search(self):
        await self.client.call("save", {"title": "Lunch menu", "content": "Monday: soup. Tuesday: noodles.", "kind": "document"})
        found = await self.client.call("search", {"query": "noodles on Tuesday", "kinds": ["document"]})
        expect([it["title"] for it in found["results"]] == ["Lunch menu"], found)
        whole = await self.client.call("fetch", {"id": found["results"][0]["id"]})
        expect("noodles" in whole["text"], whole)

    async def read_resource(self):
        text = await self.client.read(f"memory://{self.memory}")
        expect(FACT in text, text)

    async def get_prompt(self):
        prompt = {"title": "Weekly summary", "content": "Summarize {topic} in one paragraph.", "kind": "prompt"}
        await self.client.call("save", prompt)
        names = [name for name in await self.client.prompts() if name.startswith("weekly_summary")]
        expect(len(names) == 1, names)
        text = await self.client.prompt(names[0], {"topic": "billing"})
        expect("Summarize billing in one paragraph." in text, text)

    async def see_the_error(self):
        try:
            found = await self.client.call("memory_recall", {"query": QUESTION, "limit": 1000})
        except adapters.Refused as refused:
            expect("limit" in str(refused) and "100" in str(refused), refused)
        else:
            expect(False, found)
        # The session goes on.
        await self.list_tools()


STEPS = (
    Session.list_tools,
    Session.remember,
    Session.recall,
    Session.recall_with_text_for_a_number,
    Session.search,
    Session.read_resource,
    Session.get_prompt,
    Session.see_the_error,
)
# The steps, and before and after them the connection and its end.
COUNT = len(STEPS) + 2


def say(step):
    print(step, flush=True)


async def main(name, server):
    package, connect = adapters.ADAPTERS[name]
    say(f"{name} {adapters.metadata.version(package)}")
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        # The shell notes the exit code of the server, which no client tells.
        keep_code = ["-c", '"$0"; echo $? > "$1"', server, str(code)]
        env = {key: value for key, value in os.environ.items() if key.startswith("PGRECALL_")}
        is_http = server.startswith("http:")
        async with connect(adapters.Http(server) if is_http else adapters.Stdio("sh", keep_code, env)) as client:
            expect(client.server == "pgrecall", client.server)
            say("connect")
            session = Session(client)
            for step in STEPS:
                await step(session)
                say(step.__name__)
        ended = "0\n" if is_http else code.read_text() if code.exists() else "killed"
        expect(ended == "0\n", f"the server's exit code: {ended}")
        say("close")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
