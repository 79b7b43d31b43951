"""Generates the JSON schema of the chart's values and the table of its README.

Both come from values.yaml: a key's type from its default, its description from the comment above
it (`# -- …`), and its allowed values from the words "One of: …". The schema rejects other keys. If
a default is an empty mapping or list, the user may put anything into it.
"""
import json
import os
import re
import subprocess

import yaml

COMMENT = re.compile(r"^\s*# -- (.*)")
KEY = re.compile(r"^(\s*)([A-Za-z]\w*):(.*)")
# Mappings whose keys Kubernetes or the user defines.
OPEN = {"resources", "settings", "labels"}
DURATION = {"embedTimeout", "leaseDuration", "timeout", "interval"}
# Numbers that must be at least 1.
POSITIVE = {"workers", "batchSize", "retentionDays", "instances", "minReplicas", "maxReplicas", "keep", "count"}


def documented(text):
    """Returns {path: comment} for every key with a comment, in the order of the file."""
    comments, path, pending = {}, [], None
    for line in text.splitlines():
        if found := COMMENT.match(line):
            pending = found[1]
        elif found := KEY.match(line):
            depth = len(found[1]) // 2
            path = [*path[:depth], found[2]]
            if pending:
                comments[".".join(path)] = pending
                pending = None
        elif line.strip().startswith("#") and pending:
            pending += " " + line.strip("# ").strip()
    return comments


def schema(values, comments):
    root = described(values, comments, [])
    # Helm merges `global` into the values of every chart.
    root["properties"]["global"] = {"type": "object"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "pgrecall", **root}


def described(value, comments, path):
    name = path[-1] if path else ""
    comment = comments.get(".".join(path))
    if isinstance(value, dict) and value and name not in OPEN:
        properties = {key: described(inner, comments, [*path, key]) for key, inner in value.items()}
        return {"type": "object", "additionalProperties": False, "properties": properties}
    made = {"description": comment} if comment else {}
    choices = re.search(r"One of: ([^.]+)\.", comment or "")
    if choices:
        return {**made, "enum": [choice.strip() for choice in choices[1].split(",")]}
    if isinstance(value, bool):
        return {**made, "type": "boolean"}
    if isinstance(value, int):
        return {**made, "type": "integer", "minimum": 1 if name in POSITIVE else 0}
    if isinstance(value, dict):
        return {**made, "type": "object"}
    if isinstance(value, list):
        return {**made, "type": "array"}
    if name in DURATION:
        return {**made, "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}
    # The name of a key in a Secret must not be empty, except for the worker's key, which is optional.
    if name.endswith("Key") and name != "sessionDsnKey":
        return {**made, "type": "string", "minLength": 1}
    return {**made, "type": "string"}


def table(values, comments):
    rows = ["| key | default | |", "| --- | --- | --- |"]
    for path, comment in comments.items():
        value = values
        for name in path.split("."):
            value = value[name]
        rows.append(f"| `{path}` | `{json.dumps(value)}` | {comment} |")
    return "\n".join(rows)


def generated(chart):
    """Returns {file: text}: the files that are generated from values.yaml, and the sizes of databases for NOTES.txt."""
    text = (chart / "values.yaml").read_text()
    values, comments = yaml.safe_load(text), documented(text)
    readme = (chart / "README.md").read_text()
    before, _, rest = readme.partition("<!-- values -->\n")
    _, _, after = rest.partition("<!-- end -->")
    sizes = subprocess.run([os.environ["MCP_SERVER"], "doctor", "--size"], check=True, capture_output=True, text=True).stdout
    return {
        chart / "files" / "sizes.txt": sizes,
        chart / "values.schema.json": json.dumps(schema(values, comments), indent=2) + "\n",
        chart / "README.md": f"{before}<!-- values -->\n{table(values, comments)}\n<!-- end -->{after}",
    }


def undocumented(chart):
    """Returns the keys without a comment."""
    text = (chart / "values.yaml").read_text()
    comments, missing = documented(text), []

    def look(value, path):
        if isinstance(value, dict) and value and (not path or path[-1] not in OPEN):
            for key, inner in value.items():
                look(inner, [*path, key])
        elif ".".join(path) not in comments:
            missing.append(".".join(path))

    look(yaml.safe_load(text), [])
    return missing
