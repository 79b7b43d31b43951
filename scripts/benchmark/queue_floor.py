"""Runs our own settle, which claims the next jobs, and our own enqueue under pgbench: the floor.

The statements are the files that the library sends, with parameters that pgbench can fill in. They
run prepared, each in its own transaction, as a superuser to whom no policy applies: the result is
the time that Postgres itself takes for them.
"""
import pathlib
import re

from program import output_of

SQL = pathlib.Path(__file__).parents[2] / "sql"


class Floor:
    name = "floor (pgbench)"
    version = ""

    def __init__(self, ours):
        self.ours, self.home = ours, ours.home
        self.folder = ours.home.folder / "floor"
        self.folder.mkdir(exist_ok=True)
        self.worker = ours.psql("SELECT max(id) FROM workers")
        as_a_worker = "plan_cache_mode = force_generic_plan", "enable_seqscan = off", "enable_bitmapscan = off", "jit = off"
        for database_setting in ("search_path = pgrecall, public", "pgrecall.tenant = 'bench'", *as_a_worker):
            ours.psql(f"ALTER ROLE postgres IN DATABASE pgrecall SET {database_setting}")

    def close(self):
        self.ours.psql("ALTER ROLE postgres IN DATABASE pgrecall RESET ALL")

    def clear(self):
        self.ours.clear()

    def analyze(self):
        self.ours.analyze()

    def do(self, what, jobs, at_once):
        return {"enqueue": self.enqueue, "drain": self.drain}[what](jobs, at_once)

    def enqueue(self, jobs, at_once):
        # The statement builds its arrays, because pgbench has none.
        arrays = {
            "$1": f"ARRAY(SELECT generate_series(:last::int8 - {at_once - 1}, :last::int8))",
            "$2": f"array_fill('memory'::text, ARRAY[{at_once}])",
            "$3": f"array_fill(1, ARRAY[{at_once}])",
            "$4": "NULL",
            "$5": "NULL",
        }
        # pgbench keeps a variable beyond its transaction.
        script = f"\\set last :last + {at_once}\n{filled(query('enqueue'), arrays)};\n"
        return {"seconds": self.run("enqueue", script, -(-jobs // at_once), "--define=last=0")}

    def drain(self, jobs, at_once):
        places = {"$1": str(self.ours.space), "$2": str(at_once), "$3": self.worker, "$4": ":mark", "$5": ":fresh"}
        statement = filled(query("settle"), {**places, "$6": ":sources", "$7": ":wanted", "$8": ":token"})
        # The variables that pgbench keeps of the answer, instead of its rows.
        kept = ("array_agg(source)", "{}"), ("array_agg(wanted)", "{}"), ("max(lease_token)", "0"), ("max(order_key)", "-infinity")
        names = ("sources", "wanted", "token", "mark")
        columns = ", ".join(f"coalesce({value}::text, '{none}') AS {name}" for (value, none), name in zip(kept, names))
        script = f"\\set fresh random(1, {2**62})\n{statement.partition('SELECT ended')[0]}SELECT {columns} FROM claimed \\gset\n"
        nothing = [f"--define={name}={none}" for (_, none), name in zip(kept, names)]
        # The first transaction only claims.
        seconds = self.run("drain", script, -(-jobs // at_once) + 1, *nothing)
        return {"seconds": seconds, "done": jobs - int(self.ours.psql("SELECT count(*) FROM index_jobs"))}

    def run(self, name, script, transactions, *options):
        path = self.folder / f"{name}.sql"
        path.write_text(script)
        command = [self.home.postgres_folder() / "pgbench", *self.home.connection(), "--no-vacuum", "--protocol=prepared"]
        command += ["--client=1", "--jobs=1", f"--transactions={transactions}", f"--file={path}", *options]
        said = output_of([*command, "pgrecall"])
        return transactions / float(re.search(r"^tps = ([\d.]+)", said, re.M)[1])


def query(name):
    """Returns the statement without its comments, in which pgbench would look for variables."""
    text = (SQL / "queries" / f"{name}.sql").read_text().replace("{claim}", (SQL / "fragments" / "claim.sql").read_text().strip())
    return re.sub(r"--[^\n]*", "", text).strip()


def filled(statement, values):
    return re.sub(r"\$\d+", lambda place: values[place[0]], statement)
