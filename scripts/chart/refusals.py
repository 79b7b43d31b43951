"""Checks which values the chart rejects, and that each error names the keys and the fix."""
import render

EXTERNAL = {"existingSecret": "s"}
REFUSED = [
    ({"embedJobs": {"leaseDuration": "1m", "embedTimeout": "5m"}}, ["embedJobs.leaseDuration", "at least as long"]),
    ({"embedJobs": {"leaseDuration": "soon"}}, ["leaseDuration"]),
    ({"embedJobs": {"batchSize": "many"}}, ["batchSize", "integer"]),
    ({"embedJobs": {"batchSize": 0}}, ["batchSize"]),
    ({"postgresql": {"external": EXTERNAL}}, ["postgresql.enabled", "postgresql.external.existingSecret", "keep one"]),
    ({"postgresql": {"cloudnativepg": {"enabled": True}}}, ["postgresql.cloudnativepg.enabled", "keep one"]),
    ({"postgresql": {"enabled": False}}, ["no database is configured"]),
    ({"postgresql": {"enabled": False, "external": {"existingSecret": "s", "dsnKey": ""}}}, ["dsnKey"]),
    ({"postgresql": {"enabled": False, "cloudnativepg": {"enabled": True}}}, ["imageName"]),
    ({"leaseDuration": "10m"}, ["leaseDuration"]),
    ({"platform": {"resources": {}}}, ["resources"]),
    ({"platform": {"replicas": "two"}}, ["replicas", "integer"]),
    ({"embedding": {"provider": "cohere"}}, ["provider", "ollama"]),
    ({"embedding": {"provider": "tei"}}, ["tei.enabled", "embedding.tei.url"]),
    ({"embedding": {"provider": "openai"}}, ["embedding.openai.existingSecret"]),
    ({"ollama": {"enabled": False}}, ["ollama.enabled", "embedding.ollama.url"]),
    ({"ollama": {"replicas": 2}}, ["ReadWriteMany", "perPod"]),
    ({"ollama": {"authProxy": {"enabled": True}}, "networkPolicy": {"enabled": False}}, ["networkPolicy.enabled"]),
    ({"embedding": {"provider": "tei"}, "tei": {"enabled": True}}, ["tei.image.repository"]),
    ({"backup": {"enabled": True}, "postgresql": {"enabled": False, "cloudnativepg": {"enabled": True, "imageName": "i"}}}, ["barmanObjectStore"]),
    ({"embedding": {"provider": "local"}}, ["provider", "ollama"]),
    ({"ollama": {"autoscaling": {"enabled": True}}}, ["ReadWriteMany"]),
    ({"restore": {"enabled": True, "file": "f"}}, ["platform.replicas"]),
    ({"auth": {"oauth": {"issuer": "https://login.example.com/"}}}, ["auth.oauth.audience"]),
    ({"ingest": {"enabled": True}}, ["ingest.existingClaim"]),
    ({"restore": {"enabled": True}}, ["restore.file"]),
    ({"ingress": {"enabled": True}}, ["ingress.host"]),
    ({"platform": {"replicas": 5}}, ["198 connections", "accepts 197", "max_connections to 201"]),
    ({"platform": {"replicas": 3}, "workers": {"enabled": True}}, ["198 connections"]),
    ({"auth": {"anonymous": "sometimes"}}, ["anonymous", "never"]),
]


def check(chart):
    found = []
    for given, words in REFUSED:
        try:
            render.template(chart, given, render.VERSIONS[-1])
            found.append(f"{given} is not rejected")
        except render.Failed as why:
            missing = [word for word in words if word not in str(why)]
            if missing:
                found.append(f"the error for {given} does not contain {missing}: {str(why)[:300]}")
    try:
        render.template(chart, {}, "1.27")
        found.append("Kubernetes 1.27 is not rejected")
    except render.Failed as why:
        if "1.28" not in str(why):
            found.append(f"the error for Kubernetes 1.27 does not name the oldest version: {why}")
    # The chart must accept release names that YAML reads as another type, and the longest name that Helm allows.
    for release in ("y", "no", "a1", "x" * 53):
        everything = render.scenarios(chart)
        for name, given in everything.items():
            documents = render.template(chart, given, render.VERSIONS[-1], release=release)
            for document in documents:
                value = document["metadata"]["labels"]["app.kubernetes.io/instance"]
                if value != release:
                    found.append(f"release {release}, {name}: the label is {value!r}")
                limit = 52 if document["kind"] in ("CronJob", "StatefulSet") else 63
                if len(str(document["metadata"]["name"])) > limit:
                    found.append(f"release {release}, {name}: {document['kind']} {document['metadata']['name']} is longer than {limit} characters")
    return found
