#!/usr/bin/env python3
"""Counts the lines of Rust of the programs, crate by crate.

Production lines are the lines in a crate's src, without blank lines, comments and code that is
compiled for tests only. "All" counts every line of these files. The crate of the system tests is
left out.
"""

import re
import sys
from pathlib import Path

TEST_ONLY = re.compile(r"#\[cfg\((?:test|all\(test\b.*\))\)\]")


def code(text):
    """Returns the text's lines of production code, and the names of its test modules."""
    kept, test_modules, lines = [], [], iter(text.splitlines())
    for line in lines:
        bare = line.strip()
        if not TEST_ONLY.fullmatch(bare):
            if bare and not bare.startswith("//"):
                kept.append(bare)
            continue
        # The item that the attribute stands before: further attributes, then a statement or field of one line, or lines up to a
        # bracket in the attribute's column. Braces are not counted, since a string may hold one.
        column, item = line.index("#"), ""
        for line in lines:
            text = line.strip()
            if not item and text.startswith("#"):
                continue
            ends = line[column:] in ("}", "};", "},", "];", ");", "),") if item else text.endswith((";", "}", ","))
            item += text + " "
            if ends:
                break
        if module := re.search(r"\bmod (\w+);", item):
            test_modules.append(module[1])
    return kept, test_modules


def count(src):
    production, every = 0, 0
    excluded = set()
    files = sorted(src.rglob("*.rs"))
    parsed = {}
    for file in files:
        text = file.read_text()
        every += len(text.splitlines())
        kept, tests = code(text)
        parsed[file] = len(kept)
        folder = file.parent if file.stem in ("lib", "main", "mod") else file.with_suffix("")
        excluded.update(folder / name for name in tests)
    for file, lines in parsed.items():
        module = file.with_suffix("")
        if not any(module == test or test in module.parents for test in excluded):
            production += lines
    return production, every


def main():
    root = Path(__file__).resolve().parent.parent
    manifests = [file for file in sorted(root.rglob("Cargo.toml")) if "[package]" in file.read_text()]
    crates = [file.parent for file in manifests if (file.parent / "src").is_dir()]
    crates = [crate for crate in crates if not {"target", "tests", "scripts"} & set(crate.relative_to(root).parts)]
    total = 0
    for crate in crates:
        production, every = count(crate / "src")
        total += production
        print(f"{str(crate.relative_to(root)):24} {production:7} production lines, {every:7} lines in all")
    print(f"{'together':24} {total:7} production lines")


if __name__ == "__main__":
    sys.exit(main())
