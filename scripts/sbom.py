"""Prints the software bill of materials of both programs, in CycloneDX.

It lists the crates that `cargo tree` names on stdin, with their checksums from Cargo.lock.

usage: cargo tree --prefix none --format '{p}' … | sbom.py Cargo.lock VERSION REVISION
"""
import json
import sys
import tomllib


def component(package):
    name, version = package["name"], package["version"]
    made = {"type": "library", "name": name, "version": version, "purl": f"pkg:cargo/{name}@{version}", "bom-ref": f"{name}@{version}"}
    return {**made, "hashes": [{"alg": "SHA-256", "content": package["checksum"]}]}


lock, version, revision = sys.argv[1:]
used = {tuple(line.split()[:2]) for line in sys.stdin if line.strip()}
with open(lock, "rb") as file:
    packages = tomllib.load(file)["package"]
subject = {"type": "application", "name": "pgrecall", "version": version, "properties": [{"name": "revision", "value": revision}]}
bill = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {"component": subject},
    "components": [component(it) for it in packages if "source" in it and (it["name"], f"v{it['version']}") in used],
}
json.dump(bill, sys.stdout, indent=1)
print()
