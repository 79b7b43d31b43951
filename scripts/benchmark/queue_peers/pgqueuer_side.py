"""Runs pgqueuer behind a pipe, on asyncpg.

Its own runner drains the queue in the mode that ends when the queue is empty, and waits for jobs to
measure the latency.
"""
import asyncio
import json
import os
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer, types
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

WARM_UP = 50
PAYLOAD = b'{"id": 1}'


async def driver():
    host, port, user, database = (os.environ[name] for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE"))
    return AsyncpgDriver(await asyncpg.connect(host=host, port=int(port), user=user, database=database))


async def enqueue(queries, jobs, at_once):
    start = time.perf_counter()
    for first in range(0, jobs, at_once):
        count = min(at_once, jobs - first)
        if at_once == 1:
            await queries.enqueue("noop", PAYLOAD)
        else:
            await queries.enqueue(["noop"] * count, [PAYLOAD] * count, [0] * count)
    return {"seconds": time.perf_counter() - start}


async def drain(at_once):
    runner, done = PgQueuer(await driver()), 0

    @runner.entrypoint("noop")
    async def noop(_job):
        nonlocal done
        done += 1

    start = time.perf_counter()
    await runner.run(batch_size=at_once, mode=types.QueueExecutionMode.drain)
    return {"seconds": time.perf_counter() - start, "done": done}


async def latency(queries, jobs, pause_ms):
    runner, waiting = PgQueuer(await driver()), {}

    @runner.entrypoint("latency")
    async def started(job):
        waiting[int(job.payload)].set_result(time.perf_counter())

    running = asyncio.create_task(runner.run(batch_size=10, dequeue_timeout=timedelta(seconds=30)))
    await asyncio.sleep(1)
    from_enqueue, from_commit = [], []
    for number in range(jobs + WARM_UP):
        await asyncio.sleep(pause_ms / 1000)
        waiting[number] = asyncio.get_running_loop().create_future()
        begin = time.perf_counter()
        await queries.enqueue("latency", str(number).encode())
        committed = time.perf_counter()
        at = await asyncio.wait_for(waiting[number], 60)
        if number >= WARM_UP:
            from_enqueue.append((at - begin) * 1e3)
            from_commit.append(max(0.0, at - committed) * 1e3)
    runner.shutdown.set()
    running.cancel()
    return {"enqueue_to_start_ms": from_enqueue, "commit_to_start_ms": from_commit}


async def main():
    connection = await driver()
    queries = Queries(connection)
    if not await connection.fetch("SELECT FROM pg_class WHERE relname = 'pgqueuer'"):
        await queries.install()
    print("{}", flush=True)
    lines = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command = json.loads(line)
        result = {}
        match command.pop("do"):
            case "clear":
                await connection.execute("TRUNCATE pgqueuer, pgqueuer_log, pgqueuer_statistics")
            case "enqueue":
                result = await enqueue(queries, **command)
            case "drain":
                result = await drain(command["at_once"])
            case "latency":
                result = await latency(queries, **command)
        print(json.dumps(result), flush=True)


uvloop.run(main())
