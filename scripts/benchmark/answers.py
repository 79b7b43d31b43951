"""Measures whether the first snippet of a search answers a question about a manual.

The documents are pages of four manuals in Debian: PostgreSQL, Python, git, and the Debian FAQ as a
PDF. A whole manual would take hours to embed with the local model, so about a hundred pages of each
are chosen by their names: those with the answers, and many others. A question counts as answered if
the text of the first result of a search with ten results contains the answer, which a regular
expression describes.

Both lists were written before any answer was seen. The second one checks that a change was not
fitted to the first. `--quick` takes the pages with the answers alone: a quarter of the passages.
"""
import gzip
import json
import pathlib
import re
import shutil
import time

from program import Failed, Home, output_of

PACKAGES = ("postgresql-doc", "python3-doc", "git-doc", "debian-faq")
MANUALS = {
    "postgresql": ("postgresql-doc-*/html", """tutorial-* ddl-* dml-* indexes-* queries-* mvcc* role-* backup* auth-* explicit-locking transaction-iso
        continuous-archiving monitoring-stats monitoring-locks routine-* runtime-config-resource runtime-config-wal runtime-config-autovacuum
        using-explain populate app-pgdump app-pgrestore app-psql app-createuser sql-alterrole sql-alteruser sql-altertable sql-createindex
        sql-createrole sql-createuser sql-copy sql-insert sql-update sql-delete sql-merge sql-reindex sql-vacuum sql-set-transaction
        sql-begin sql-lock plpgsql-control-structures textsearch-intro"""),
    "python": ("python3.*/html", """tutorial/* faq/* howto/sorting howto/regex howto/functional howto/unicode using/cmdline library/subprocess
        library/datetime library/time library/timeit library/profile library/os.path library/pathlib library/shutil library/csv library/json
        library/itertools library/functools library/operator library/collections library/io library/tempfile library/string library/random
        library/glob library/venv library/sqlite3 library/threading library/functions library/copy library/pprint"""),
    "git": ("git-doc", """git-add git-am git-annotate git-bisect git-blame git-branch git-checkout git-cherry-pick git-clean git-clone git-commit
        git-diff git-fetch git-gc git-grep git-init git-log git-merge git-mv git-notes git-pull git-push git-rebase git-reflog git-remote
        git-reset git-restore git-revert git-rm git-shortlog git-show git-stash git-status git-submodule git-switch git-tag git-worktree
        git-check-ignore gitattributes gitcli gitcredentials gitdiffcore giteveryday gitfaq gitglossary githooks gitignore gitmailmap
        gitmodules gitrevisions gitsubmodules gittutorial gittutorial-2 gitworkflows"""),
    "debian": ("debian/FAQ", ""),
}
# Each question with its manual, the page that should come first, and the answer.
QUESTIONS = [
    ("which lock does CREATE INDEX CONCURRENTLY take?", "explicit-locking", r"SHARE UPDATE EXCLUSIVE"),
    ("how can I see which queries are running right now?", "monitoring-stats", r"pg_stat_activity"),
    ("how do I restore a single table from a dump?", "app-pgrestore", r"(?<![\w-])(-t|--table)\b"),
    ("what is the default transaction isolation level?", "transaction-iso", r"(?i)read committed.{0,60}default"),
    ("how do I read a file line by line?", "tutorial/inputoutput", r"for line in \w+"),
    ("what is the difference between a list and a tuple?", "faq/design", r"(?i)immutable|cannot be changed|can be changed|heterogeneous"),
    ("how do I run a shell command and get its output as text?", "library/subprocess", r"capture_output|check_output|getoutput"),
    ("how do I turn a string into a date?", "library/datetime", r"strptime|fromisoformat"),
    ("how do I undo the last commit but keep my changes?", "git-reset", r"--soft|reset HEAD[~^]"),
    ("how do I put my uncommitted changes aside and come back to them later?", "git-stash", r"(?i)git.stash"),
    ("how can I find the commit that introduced a bug?", "git-bisect", r"(?i)bisect"),
    ("how do I find out which package a file belongs to?", "debian-faq", r"dpkg (-S|--search)|dlocate|apt-file"),
    ("where do the code names of Debian releases come from?", "debian-faq", r"Toy Story"),
]
HELD_OUT = [
    ("how do I change the password of a user?", "sql-alterrole", r"(?s)ALTER (ROLE|USER).{0,80}PASSWORD|\\password"),
    ("what happens when transaction ids wrap around?", "routine-vacuuming", r"(?i)data loss|in the future|two billion|2 billion|shut ?down"),
    ("how much memory should I give to shared_buffers?", "runtime-config-resource", r"25\s?%"),
    ("how do I insert a row, or update it if it already exists?", "sql-insert", r"ON CONFLICT|(?i:upsert)"),
    ("how do I create a virtual environment?", "tutorial/venv", r"-m venv|pyvenv|venv\.create"),
    ("why are default values shared between calls of a function?", "faq/programming", r"(?i)(only|exactly) once|created once"),
    ("how do I sort a list of dictionaries by one of their values?", "howto/sorting", r"itemgetter|key\s?="),
    ("how do I measure how long a small piece of code takes?", "library/timeit", r"timeit"),
    ("how do I change the message of the last commit?", "git-commit", r"--amend"),
    ("how do I see who last changed each line of a file?", "git-blame", r"(?i)git.(blame|annotate)"),
    ("how do I tell git to ignore some files?", "gitignore", r"(?i)gitignore"),
    ("how do I see which packages are installed on my system?", "debian-faq", r"dpkg (-l|--list)|dpkg-query|apt list"),
    ("how do I upgrade to a new release of Debian?", "debian-faq", r"(?i)(dist|full|apt|apt-get)[- ]upgrade"),
]
SHOWN_CHARACTERS = 600


def measure(options):
    folder = options.folder / "answers"
    pages = folder / "pages"
    home = Home(options.release, folder / "home")
    done = folder / "ingested.json"
    chosen = json.dumps([PACKAGES, MANUALS, options.quick])
    began = time.monotonic()
    if options.fresh or not done.exists() or done.read_text() != chosen:
        done.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        home = Home(options.release, folder / "home")
        count = gather(folder / "packages", pages, options.quick)
        options.say(f"ingesting {count} pages; this takes some minutes")
        home.run("ingest", pages, "--collection", "manuals")
        done.write_text(chosen)
    result = {"ingest_s": time.monotonic() - began}
    with home.session() as session:
        for name, questions in (("questions", QUESTIONS), ("held_out", HELD_OUT)):
            result[name] = [ask(session, *question) for question in questions]
    return result


def gather(packages, pages, is_quick):
    """Fetches the packages and copies the chosen pages. Returns the number of pages."""
    expected = tuple(page for _, page, _ in QUESTIONS + HELD_OUT)
    packages.mkdir(parents=True)
    for name in PACKAGES:
        output_of(["apt-get", "download", package(name)], cwd=packages)
    for archive in packages.glob("*.deb"):
        output_of(["dpkg-deb", "-x", archive, packages])
    for manual, (place, names) in MANUALS.items():
        root = next((packages / "usr/share/doc").glob(place), None)
        if root is None:
            raise Failed(f"the packages {', '.join(PACKAGES)} have no folder {place}")
        for name in names.split():
            for page in root.glob(f"{name}.html"):
                if is_quick and not page.with_suffix("").as_posix().endswith(expected):
                    continue
                copy = pages / manual / page.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                # Python's pages in Debian are links into another package's folder.
                shutil.copyfile(page.resolve(), copy)
    faq = pages / "debian" / "debian-faq.pdf"
    faq.parent.mkdir(parents=True)
    faq.write_bytes(gzip.decompress(next(packages.glob("usr/share/doc/debian/FAQ/debian-faq.en.pdf.gz")).read_bytes()))
    # The home's Postgres user does not read them, mcp-server does.
    return sum(1 for page in pages.rglob("*") if page.is_file())


def package(name):
    """Returns the package that a package without files of its own stands for."""
    said = output_of(["apt-cache", "depends", "--important", name])
    found = re.search(rf"Depends: ({re.escape(name.split('-')[0].rstrip('3'))}[\w.-]*-doc[\w.-]*)", said)
    return found[1] if found else name


def ask(session, question, page, answer):
    found = session.call("search", {"query": question})
    if found["degraded"]:
        raise Failed(f"a search was not answered by words and meaning: {found['note']}")
    results = found["results"]
    text = results[0]["text"]
    of = lambda result: pathlib.PurePath(result["url"]).with_suffix("").as_posix()
    rank = next((rank for rank, result in enumerate(results, 1) if of(result).endswith(page)), None)
    holding = next((rank for rank, result in enumerate(results, 1) if re.search(answer, result["text"])), None)
    return {"question": question, "first": results[0]["title"], "url": results[0]["url"], "rank": rank, "answer": holding,
            "section": results[0].get("section"), "page": results[0].get("page"), "text": text}


def show(result, table):
    for name, title in (("questions", "Questions"), ("held_out", "Other questions")):
        for asked in result[name]:
            print(f"\n{'yes' if asked['answer'] == 1 else 'no ':3}  {asked['question']}\n     {asked['first']}")
            text = asked["text"] if len(asked["text"]) <= SHOWN_CHARACTERS else asked["text"][:SHOWN_CHARACTERS] + "…"
            print("\n".join(f"       | {line}" for line in text.splitlines()))
        rows = [
            (asked["question"], "yes" if asked["answer"] == 1 else "no", asked["answer"] or "-", asked["rank"] or "-")
            for asked in result[name]
        ]
        count = sum(asked["answer"] == 1 for asked in result[name])
        heads = ("question", "first snippet answers", "first snippet with the answer", "rank of the expected page")
        table.print(f"{title}: the first snippet answers {count} of {len(rows)}", heads, rows)
