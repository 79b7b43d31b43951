"""Compares the local embedder with ONNX Runtime: same graph, texts and threads, in turn."""
import json
import os
import pathlib
import statistics
import subprocess
import sys

import numpy

import corpus
from onnx_reference import Reference
from report import spread

THREADS = 2
BATCHES = (1, 8, 32)
# Mean number of words, its standard deviation, and texts per round, for rounds of about a second.
TEXTS = {"short": (28, 5, 256), "long": (178, 20, 64)}
ROUNDS = {True: 3, False: 9}


class Side:
    """A process that embeds the texts of a file on request."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self, texts, batch, vectors=None):
        command = {"texts": str(texts), "batch": batch, "vectors": vectors and str(vectors)}
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def cosines(one, other, dimension=384):
    one, other = (numpy.fromfile(path, "<f4").reshape(-1, dimension).astype("f8") for path in (one, other))
    lengths = numpy.linalg.norm(one, axis=1) * numpy.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths


def measure(options):
    model = model_folder()
    folder = options.folder / "embedding"
    folder.mkdir(parents=True, exist_ok=True)
    # Only counts tokens; its threads do not run while anything is timed.
    counter = Reference(model, 1)
    reference = pathlib.Path(__file__).parent / "onnx_reference.py"
    sides = {
        "local": Side(options.release / "examples" / "local_embedder", model, THREADS),
        "onnx": Side(sys.executable, reference, model, THREADS),
    }
    result = {"threads": THREADS, "tokenising": "included on both sides", "cells": []}
    for seed, (name, (words, deviation, count)) in enumerate(TEXTS.items()):
        texts = corpus.plain_texts(count, words, deviation, seed)
        tokens = sum(map(len, counter.tokens(texts)))
        path = folder / f"{name}.json"
        path.write_text(json.dumps(texts))
        for batch in BATCHES:
            files = {side: folder / f"{name}.{side}.f32" for side in sides}
            for side, process in sides.items():
                process.seconds(path, batch, files[side])
            alike = cosines(*files.values())
            seconds = {side: [] for side in sides}
            for _ in range(ROUNDS[options.quick]):
                for side, process in sides.items():
                    seconds[side].append(process.seconds(path, batch))
            rates = {side: [count / took for took in seconds[side]] for side in sides}
            cell = {
                "texts": name,
                "tokens_per_text": tokens / count,
                "batch": batch,
                "cosine": {"min": alike.min(), "mean": alike.mean()},
                # Of pairs measured one after the other, so that a slow machine slows both.
                "ratio": spread([a / b for a, b in zip(rates["local"], rates["onnx"])]),
            }
            for side in sides:
                cell[side] = {"texts_per_second": spread(rates[side])}
                cell[side]["tokens_per_second"] = spread([rate * tokens / count for rate in rates[side]])
            result["cells"].append(cell)
            options.say(f"{name} texts, batch {batch}: {statistics.median(rates['local']):.0f} texts/s")
    for process in sides.values():
        process.close()
    return result


def model_folder():
    folders = sorted(pathlib.Path(os.environ["PGRECALL_RUNTIME"]).glob("*/model.onnx"))
    return folders[-1].parent


def show(result, table):
    rows = [
        (
            cell["texts"],
            f"{cell['tokens_per_text']:.0f}",
            cell["batch"],
            table.spread(cell["local"]["texts_per_second"]),
            table.spread(cell["onnx"]["texts_per_second"]),
            f"{cell['local']['tokens_per_second']['median']:,.0f}",
            f"{cell['onnx']['tokens_per_second']['median']:,.0f}",
            table.spread(cell["ratio"]),
            f"{cell['cosine']['min']:.6f} / {cell['cosine']['mean']:.6f}",
        )
        for cell in result["cells"]
    ]
    title = f"Local embedder and ONNX Runtime (f32), {result['threads']} threads each, tokenising included"
    heads = ("texts", "tokens", "batch", "local texts/s", "onnx texts/s", "local tok/s", "onnx tok/s", "local/onnx", "cosine min / mean")
    table.print(title, heads, rows)
