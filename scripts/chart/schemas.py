"""Validates each document against the schema of its kind. A kind without a schema is an error."""
import json
import pathlib

import jsonschema
import kubernetes_validate

# Schemas of custom resources, with the fields that the chart uses.
OWN = {path.stem: json.loads(path.read_text()) for path in (pathlib.Path(__file__).parent / "crds").glob("*.json")}


def check(documents, version):
    found, names = [], set()
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        if (kind, name) in names:
            found.append(f"{kind} {name} is rendered twice")
        names.add((kind, name))
        try:
            if kind in OWN:
                jsonschema.validate(document, OWN[kind])
            else:
                kubernetes_validate.validate(document, version, strict=True)
        except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
            at = ".".join(map(str, error.path))
            found.append(f"{kind} {name}: {at}: {error.message[:300]}")
        except Exception as error:  # an unknown kind or version; its class differs between releases of the library
            found.append(f"{kind} {name}: {type(error).__name__}: {error}")
    return found
