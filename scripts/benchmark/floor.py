"""Runs the statements of real recalls, with their parameters, under pgbench: the floor.

Postgres logs the statements of a few dozen recalls. Each recall becomes a pgbench script, so that
pgbench runs the same transactions on the same data, without the work of the program around them.
"""
import re

from program import output_of
from report import quantile

CAPTURED = 60
# "2026-01-01 12:00:00.000 UTC [123] LOG:  execute <unnamed>: SELECT …"; the next entry has the
# parameters.
ENTRY = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] (LOG|DETAIL):  (.*)", re.S)
PARAMETER = re.compile(r"\$(\d+) = ('(?:[^']|'')*'|NULL)")


def capture(home, questions_file, folder):
    """Runs recalls while Postgres logs their statements, and returns a pgbench script for each."""
    before = home.log.stat().st_size
    home.psql("ALTER DATABASE pgrecall SET log_statement = 'all'")
    home.psql("ALTER DATABASE pgrecall SET log_parameter_max_length = -1")
    try:
        home.run("recall", "--queries", questions_file)
    finally:
        home.psql("ALTER DATABASE pgrecall RESET ALL")
    with open(home.log) as log:
        log.seek(before)
        recalls = [statements for statements in transactions(log.read()) if any("<=>" in text for text in statements)]
    scripts = []
    for number, statements in enumerate(recalls[:CAPTURED]):
        path = folder / f"recall-{number}.sql"
        path.write_text(";\n".join(statements) + ";\n")
        scripts.append(path)
    return scripts


def transactions(log):
    """Returns the statements of each transaction in the log, with their parameters filled in."""
    under_way, done = {}, []
    for entry in re.split(r"\n(?=\S)", log):
        found = ENTRY.match(entry)
        if not found:
            continue
        process, level, text = found.groups()
        text = text.replace("\n\t", "\n")
        if level == "DETAIL":
            if process in under_way and text.lower().startswith("parameters: "):
                under_way[process][-1] = filled(under_way[process][-1], text)
            continue
        statement = text.partition(": ")[2]
        if statement.upper().startswith(("BEGIN", "START TRANSACTION")):
            under_way[process] = [statement]
        elif process in under_way:
            under_way[process].append(statement)
            if statement.upper().startswith("COMMIT"):
                done.append(under_way.pop(process))
    return done


def filled(statement, parameters):
    """Returns the statement with its parameters as literals, as Postgres plans an unnamed one."""
    values = {number: value for number, value in PARAMETER.findall(parameters)}
    return re.sub(r"\$(\d+)", lambda place: values[place[1]], statement)


def run(home, scripts, clients, seconds, folder):
    """Runs the scripts. Returns (seconds of each transaction, transactions per second)."""
    for old in folder.glob("pgbench_log.*"):
        old.unlink()
    command = [home.postgres_folder() / "pgbench", *home.connection(), "--no-vacuum", "--protocol=simple", "--log"]
    command += ["--client", clients, "--jobs", min(clients, 2), "--time", seconds]
    command += [f"--file={script}" for script in scripts]
    said = output_of([*command, "pgrecall"], cwd=folder)
    latencies = [
        int(line.split()[2]) / 1e6 for path in folder.glob("pgbench_log.*") for line in path.read_text().splitlines()
    ]
    return latencies, float(re.search(r"^tps = ([\d.]+)", said, re.M)[1])


def summary(latencies, rate):
    return {"p50_ms": quantile(latencies, 0.5) * 1e3, "p99_ms": quantile(latencies, 0.99) * 1e3, "per_second": rate}
