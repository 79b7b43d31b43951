"""Runs parts of the benchmark, prints tables and writes JSON. scripts/bench calls this."""
import argparse
import importlib
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

from program import Failed
from report import Table

# The module of each part. Imported on demand, since a module may need packages that the others do
# not.
PARTS = {"embedding": "embedding", "recall": "recall", "process": "process", "http": "over_http", "fair": "fair", "filters": "filters", "queue": "queue_rates", 
         "freshness": "freshness", "pages": "pages", "answers": "answers"}
USUAL = ["embedding", "recall", "process", "http"]


class Options:
    """The options of a run, for its parts."""

    def __init__(self, arguments):
        self.quick, self.fresh = arguments.quick, arguments.fresh
        self.sizes = arguments.sizes or ([10_000] if arguments.quick else [10_000, 100_000])
        self.folder = pathlib.Path(os.environ["PGRECALL_BENCH_DIR"])
        self.release = pathlib.Path(os.environ["PGRECALL_BENCH_RELEASE"])

    @staticmethod
    def say(text):
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")])
    arguments = parser.parse_args()
    if unknown := [part for part in arguments.parts if part not in PARTS]:
        parser.error(f"there is no part `{unknown[0]}`: choose from {', '.join(PARTS)}")
    parts = {part: importlib.import_module(PARTS[part]) for part in arguments.parts or USUAL}
    options = Options(arguments)
    result = {"machine": machine(), "quick": options.quick, "load_before": os.getloadavg()}
    for name, part in parts.items():
        options.say(name)
        result[name] = part.measure(options)
    result["load_after"] = os.getloadavg()
    path = pathlib.Path(os.environ["PGRECALL_BENCH_RESULT"])
    path.write_text(json.dumps(result, indent=1) + "\n")
    described = result["machine"]
    print(f"\n{described['processor']}, {described['cores']} cores, {described['memory_gib']:.0f} GiB, commit {described['commit']}")
    print("Medians, with the least and the most of the rounds; load average ", end="")
    print(f"{result['load_before'][0]:.1f} before, {result['load_after'][0]:.1f} after.")
    for name, part in parts.items():
        part.show(result[name], Table)
    print(f"\nEvery figure: {path}")


def machine():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    here = pathlib.Path(__file__).parent
    commit = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return {
        "processor": model[0] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "system": platform.platform(),
        "commit": commit or "unknown",
    }


if __name__ == "__main__":
    try:
        main()
    except Failed as why:
        sys.exit(f"error: {why}")
    except KeyboardInterrupt:
        sys.exit(130)
