"""Checks the chart in helm/pgrecall. `scripts/check helm` installs the tools and calls this.

usage: scripts/check helm [--update]

  --update  regenerates values.schema.json and the table of the chart's README from values.yaml,
            and files/sizes.txt from `doctor --size`
"""
import pathlib
import sys

import refusals
import render
import rules
import schemas
import values

CHART = pathlib.Path(__file__).parents[2] / "helm" / "pgrecall"


def main():
    for path, text in values.generated(CHART).items():
        if "--update" in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"error: {path.name} is not up to date: run scripts/check helm --update")
    found = [f"values.yaml: `{key}` has no comment" for key in values.undocumented(CHART)]
    scenarios = render.scenarios(CHART)
    found += render.lint(CHART, scenarios)
    documents = 0
    for version in render.VERSIONS:
        for name, given in scenarios.items():
            rendered = render.template(CHART, given, version)
            documents += len(rendered)
            at = f"{name}, Kubernetes {version}"
            found += [f"{at}: {finding}" for finding in schemas.check(rendered, version)]
            found += [f"{at}: {finding}" for finding in [*rules.check(rendered), *render.configured(rendered)]]
    found += rules.pinned(lambda given: render.template(CHART, given, render.VERSIONS[-1]))
    found += render.scan(CHART, scenarios)
    found += refusals.check(CHART)
    for finding in found:
        print(f"error: {finding}", file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"The chart passes all checks: {len(scenarios)} scenarios for {', '.join(render.VERSIONS)}, {documents} documents")


main()
