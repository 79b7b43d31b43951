"""Lints the chart with Helm 4 and renders it with Helm 3, since both are in use."""
import json
import os
import pathlib
import re
import subprocess
import tempfile

import helm_python.chart
import yaml

# The oldest version of Kubernetes that the chart accepts, one in between, and the newest.
VERSIONS = ("1.28", "1.30", "1.36")
# The severity of a warning in Helm's library.
WARNING = 2
# Rules of checkov that the chart does not follow, with the reasons.
NOT_FOLLOWED = {
    "CKV_K8S_11": "only embedders have CPU limits: a limit throttles a worker that could use an idle core",
    "CKV_K8S_15": "tags are pinned: a node that has an image need not ask the registry for it at every start",
    "CKV_K8S_35": "secrets are variables, which the programs' configuration expands; Postgres and nginx read theirs from variables too",
    "CKV_K8S_40": "the user of the Postgres image has the id 999",
    "CKV_K8S_43": "images have tags unless `image.digest` is set: a default digest would differ for each registry and architecture",
}


class Failed(Exception):
    """Helm failed. The message is its error output."""


def scenarios(chart):
    found = {path.stem: yaml.safe_load(path.read_text()) or {} for path in sorted((chart / "ci").glob("*.yaml"))}
    return {"defaults": {}, **found}


def lint(chart, scenarios):
    found = []
    for name, given in scenarios.items():
        for version in VERSIONS:
            report = helm_python.chart.lint(chart, given, strict=True, kube_version=f"v{version}.0", namespace="recall")
            messages = [f"{it['path']}: {it['error']}" for it in report["messages"] if it["severity"] >= WARNING]
            found += [f"lint, {name}, Kubernetes {version}: {message}" for message in [*messages, *report["errors"]]]
    return found


def template(chart, given, version, release="recall", namespace="recall"):
    """Renders the chart with the given values, and returns the documents."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(json.dumps(given))
        file.flush()
        command = [os.environ["HELM"], "template", release, chart, "--namespace", namespace, "--kube-version", f"v{version}.0", "--values", file.name]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(done.stderr.strip())
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def configured(documents):
    """Returns the errors of `mcp-server config check` for the rendered configuration."""
    config = next(it["data"]["pgrecall.yaml"] for it in documents if it["kind"] == "ConfigMap" and "pgrecall.yaml" in it["data"])
    variables = {name: "x" for name in re.findall(r"\$\{(\w+)\}", config)}
    variables |= {"DATABASE_URL": "postgres://u:p@h/d", "SESSION_DATABASE_URL": "postgres://u:p@h/d", "PGRECALL_HOME": "/tmp/pgrecall"}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(config)
        file.flush()
        command = [os.environ["MCP_SERVER"], "config", "check", "--config", file.name]
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
    return [] if done.returncode == 0 else [f"`mcp-server config check` rejects the configuration: {done.stderr.strip()}"]


def scan(chart, scenarios):
    """Returns the findings of checkov in the rendered documents."""
    with tempfile.TemporaryDirectory() as folder:
        for name, given in scenarios.items():
            documents = template(chart, given, VERSIONS[-1])
            (pathlib.Path(folder) / f"{name}.yaml").write_text(yaml.safe_dump_all(documents))
        command = [os.environ["CHECKOV"], "--directory", folder, "--framework", "kubernetes", "--skip-download", "--compact", "--quiet", "--output", "json"]
        command += ["--skip-check", ",".join(NOT_FOLLOWED)]
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return [f"checkov did not run: {done.stderr[-500:]}"]
    if "results" not in report:
        return [] if report.get("failed", 1) == 0 and report.get("resource_count", 0) else [f"checkov checked nothing: {done.stdout[:300]}"]
    failed = report["results"]["failed_checks"]
    return sorted({f"checkov: {it['check_id']} {it['check_name']}: {it['resource']}" for it in failed})
