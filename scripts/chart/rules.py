"""Checks rules on the rendered objects, beyond their schemas."""
import base64
import pathlib
import re
import subprocess
import tempfile

import yaml

WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")
SIDECAR = "embed-worker"
# The value of a password, in a setting or in a URL. A variable such as ${NAME} does not match.
PASSWORD = re.compile(r"""password["']?[:=]\s*["']?[^\s$"']|://[^/\s:@$]+:[^@\s$]+@""", re.IGNORECASE)


def pod_of(document):
    template = document["spec"].get("jobTemplate", document)["spec"]["template"]
    return template["metadata"], template["spec"]


def check(documents):
    """Checks the rules that hold in every scenario."""
    found = []

    def rule(holds, document, what):
        if not holds:
            found.append(f"{document['kind']} {document['metadata']['name']}: {what}")

    secrets = {document["metadata"]["name"] for document in documents if document["kind"] == "Secret"}
    for document in documents:
        name = document["metadata"]["name"]
        rule(len(name) <= (52 if document["kind"] in ("CronJob", "StatefulSet") else 63), document, "its name is too long")
        rule(all(isinstance(it, str) for it in document["metadata"]["labels"].values()), document, "a label is not a string")
        if document["kind"] == "ConfigMap":
            rule(not any(PASSWORD.search(text) for text in document["data"].values()), document, "it contains a password")
        if document["kind"] not in WORKLOADS:
            continue
        metadata, pod = pod_of(document)
        rule(pod["automountServiceAccountToken"] is False, document, "the token of the ServiceAccount is mounted")
        rule(pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"].get("runAsUser", 1) > 0, document, "it may run as root")
        rule(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", document, "no seccomp profile")
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            may = container["securityContext"]
            at = f"container {container['name']}"
            rule(may["allowPrivilegeEscalation"] is False and may["capabilities"]["drop"] == ["ALL"], document, f"{at} has privileges")
            rule(may["readOnlyRootFilesystem"] is True, document, f"{at} can write to its root file system")
            rule({"cpu", "memory"} <= container["resources"]["requests"].keys(), document, f"{at} does not request CPU and memory")
            rule("memory" in container["resources"]["limits"], document, f"{at} has no memory limit")
            rule(":" in container["image"] and not container["image"].endswith(":latest"), document, f"{at} has no tag")
            for variable in container.get("env", []):
                secret = any(word in variable["name"] for word in ("PASSWORD", "KEY", "DSN", "URL"))
                rule(not secret or "valueFrom" in variable, document, f"{at}: {variable['name']} has its value in the document, not in a Secret")
                wanted = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name", "")
                rule(not wanted.startswith("recall-pgrecall") or wanted in secrets or wanted.endswith("-postgres-app"), document, f"{at}: there is no Secret {wanted}")
            if document["kind"] in ("Deployment", "StatefulSet") and container in pod["containers"]:
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    rule(probe in container, document, f"{at} has no {probe}")
        if document["kind"] in ("Deployment", "StatefulSet"):
            selector = document["spec"]["selector"]["matchLabels"].items()
            rule(selector <= metadata["labels"].items(), document, "it does not select its own pods")
        mounted = {mount["name"] for it in [*pod.get("initContainers", []), *pod["containers"]] for mount in it.get("volumeMounts", [])}
        there = {volume["name"] for volume in pod.get("volumes", [])}
        there |= {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
        rule(mounted == there, document, f"volumes and mounts differ: {mounted ^ there}")
    return found + services(documents) + policies(documents)


def services(documents):
    """Checks that the pods that a Service selects have its target ports."""
    found = []
    pods = [pod_of(document) for document in documents if document["kind"] in ("Deployment", "StatefulSet")]
    for service in documents:
        if service["kind"] != "Service":
            continue
        matching = [pod for metadata, pod in pods if service["spec"]["selector"].items() <= metadata["labels"].items()]
        ports = {port["name"] for pod in matching for container in pod["containers"] for port in container.get("ports", [])}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                found.append(f"Service {service['metadata']['name']}: no pod has the port {port['targetPort']}")
    return found


def policies(documents):
    """Checks that each component has one NetworkPolicy in addition to the default deny."""
    found = []
    selected = [it["spec"]["podSelector"]["matchLabels"] for it in documents if it["kind"] == "NetworkPolicy"]
    for document in documents:
        if document["kind"] in WORKLOADS:
            labels = pod_of(document)[0]["labels"].items()
            own = [it for it in selected if "app.kubernetes.io/component" in it and it.items() <= labels]
            if len(own) != 1:
                found.append(f"{document['kind']} {document['metadata']['name']}: {len(own)} NetworkPolicies select it, in addition to the default deny")
    return found


def certificate(data, host):
    """Checks that the certificate of Postgres is valid for the host, and signed by the CA."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in data.items():
            (pathlib.Path(folder) / name).write_bytes(base64.b64decode(text))
        command = ["openssl", "verify", "-CAfile", "ca.crt", "-verify_hostname", host, "tls.crt"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return [] if done.returncode == 0 else [f"pinned: the certificate of Postgres: {done.stdout}{done.stderr}"]


def pinned(render):
    """Checks behavior that users rely on, each rule with the values that show it."""
    found = []

    def rule(holds, what):
        if not holds:
            found.append(f"pinned, but not true: {what}")

    def one(documents, kind, end):
        matching = [it for it in documents if it["kind"] == kind and it["metadata"]["name"].endswith(end)]
        if len(matching) != 1:
            found.append(f"pinned: there are {len(matching)} objects of kind {kind} whose name ends with {end}, not one")
            return {"spec": {}, "data": {}, "stringData": {}}
        return matching[0]

    documents = render({})
    kinds = {(it["kind"], it["metadata"]["name"]) for it in documents}
    for wanted in [("StatefulSet", "recall-pgrecall-postgres"), ("Secret", "recall-pgrecall-database"), ("Deployment", "recall-pgrecall-ollama")]:
        rule(wanted in kinds, f"the defaults have {wanted}")
    rule(any(kind == "NetworkPolicy" for kind, _ in kinds), "the defaults have NetworkPolicies")
    pull = next(it for it in documents if it["kind"] == "Job" and "-ollama-pull-" in it["metadata"]["name"])
    script = pod_of(pull)[1]["containers"][0]
    rule(script["image"].startswith("ollama/ollama:") and "ollama pull 'nomic-embed-text'" in script["args"][0], "the pull Job runs Ollama's image")
    rule("ollama show" in script["args"][0] and script["command"] == ["sh", "-eu", "-c"], "the pull Job fails if the pull fails, and does not pull a model that is there")

    ids = {"runAsUser", "runAsGroup", "fsGroup"}
    for given, wanted in (({}, ids), ({"fixedUserIds": False}, set())):
        contexts = [pod_of(it)[1]["securityContext"].keys() & ids for it in render(given) if it["kind"] in WORKLOADS]
        rule(contexts and all(it == wanted for it in contexts), f"{given}: each pod names {sorted(wanted) or 'no ids of user and group'}")

    platform = one(documents, "Deployment", "recall-pgrecall")
    pod = platform["spec"]["template"]["spec"]
    containers = {it["name"]: it for it in pod["containers"]}
    rule(list(containers) == ["mcp-server", SIDECAR], "the platform's pod has two containers")
    rule([it["name"] for it in pod["initContainers"]] == ["migrate"], "the migration runs before both")
    server = containers["mcp-server"]
    rule(server["readinessProbe"]["httpGet"]["path"] == "/readyz" and server["livenessProbe"]["httpGet"]["path"] == "/healthz", "the server's probes")
    rule(server["livenessProbe"]["httpGet"]["port"] == "metrics", "the liveness probe does not use the port of the clients")
    rule(all(containers[SIDECAR][it]["httpGet"]["path"] == "/healthz" for it in ("startupProbe", "livenessProbe", "readinessProbe")), "the sidecar's probes check only its process")

    config = yaml.safe_load(one(documents, "ConfigMap", "recall-pgrecall")["data"]["pgrecall.yaml"])
    jobs, serving = config["apigateway"]["embed_jobs"], config["server"]
    rule((jobs["lease_duration"], jobs["embed_timeout"], config["memory"]["embedding"]["timeout"]) == ("10m", "5m", "30s"), "lease and timeouts")
    rule(config["database"] == {"dsn": "${DATABASE_URL}", "session_dsn": "${SESSION_DATABASE_URL}"}, "connection strings come from the Secret")
    rule(serving["anonymous"] == "never", "the server rejects requests without credentials")
    mounts = {it["name"]: it["mountPath"] for it in server["volumeMounts"]}
    rule(config["audit"]["spill"].startswith(mounts["audit"] + "/"), "the spill file of the audit log is on the volume `audit`")
    rule({"name": "audit", "emptyDir": {}} in pod["volumes"], "the volume `audit` is an emptyDir by default")
    claim = {"persistentVolumeClaim": {"claimName": "audit"}}
    volumes = pod_of(one(render({"audit": {"volume": claim}}), "Deployment", "recall-pgrecall"))[1]["volumes"]
    rule({"name": "audit", **claim} in volumes, "`audit.volume` replaces the emptyDir")
    behind = render({"ingress": {"enabled": True, "host": "recall.example.com", "trustedProxies": ["10.0.0.0/8"]}})
    behind = yaml.safe_load(one(behind, "ConfigMap", "recall-pgrecall")["data"]["pgrecall.yaml"])
    rule(behind["server"]["trusted_proxies"] == ["10.0.0.0/8"], "`ingress.trustedProxies` are the server's trusted proxies")
    rules = {"metrics": {"prometheusRule": {"enabled": True}}, "backup": {"enabled": True}}
    rule("PgrecallBackupFailed" in str(one(render(rules), "PrometheusRule", "recall-pgrecall")), "a failed backup raises an alert")
    rule(pod["terminationGracePeriodSeconds"] > 5 + 20 + 20, "the grace period is longer than the server needs to stop")
    annotations = platform["spec"]["template"]["metadata"]["annotations"]
    other = one(render({"embedJobs": {"batchSize": 8}}), "Deployment", "recall-pgrecall")["spec"]["template"]["metadata"]["annotations"]
    rule(annotations["checksum/config"] != other["checksum/config"], "a change of the configuration replaces the pods")

    postgres = pod_of(one(documents, "StatefulSet", "-postgres"))[1]["containers"][0]
    variables = {it["name"]: it.get("value") for it in postgres["env"]}
    rule(variables["PGDATA"].startswith("/var/lib/postgresql/data/"), "PGDATA is a folder below the volume")
    ready = postgres["readinessProbe"]["exec"]["command"][-1]
    rule("$PGRECALL_PASSWORD" in ready and "$POD_IP" in ready, "the readiness probe logs in with the password, over the address of the pod")
    rule(variables["POSTGRES_USER"] == "postgres", "the superuser is `postgres`, not the programs' login")
    addresses = one(documents, "Secret", "-database")["stringData"]
    rule(addresses["dsn"].startswith("postgres://pgrecall:") and addresses["superuser-dsn"].startswith("postgres://postgres:"), "the connection strings are of two logins")
    rule(all("sslmode=verify-full" in addresses[it] for it in ("dsn", "superuser-dsn")), "TLS to Postgres is verified by default")
    found += certificate(one(documents, "Secret", "-database-tls")["data"], "recall-pgrecall-postgres.recall.svc")
    plain = render({"postgresql": {"tls": {"enabled": False}}})
    rule("sslmode" not in one(plain, "Secret", "-database")["stringData"]["dsn"], "TLS to Postgres can be turned off")

    documents = render({"backup": {"enabled": True}, "ingest": {"enabled": True, "existingClaim": "c"}})
    for document in documents:
        if document["kind"] in WORKLOADS:
            keys = {it["valueFrom"]["secretKeyRef"]["key"] for container in pod_of(document)[1]["containers"] for it in container.get("env", []) if "secretKeyRef" in it.get("valueFrom", {})}
            component = document["metadata"]["labels"]["app.kubernetes.io/component"]
            rule(component in ("postgres", "backup", "restore") or not any(it.startswith("superuser") for it in keys), f"{component} has no credentials of the superuser")
            rule(component != "backup" or "superuser-dsn" in keys, "the login of the backup sees every row")

    digest = "sha256:" + 64 * "0"
    image = pod_of(one(render({"postgresql": {"image": {"digest": digest}}}), "StatefulSet", "-postgres"))[1]["containers"][0]["image"]
    rule(image == f"pgvector/pgvector@{digest}", "a digest replaces the tag")
    for document in render({}):
        for way in document["spec"].get("egress", []) if document["kind"] == "NetworkPolicy" else []:
            rule("to" in way or all(port["port"] != 53 for port in way["ports"]), f"{document['metadata']['name']} allows DNS only to listed peers")
            if any(port["port"] == 53 for port in way["ports"]):
                blocks = {peer["ipBlock"]["cidr"] for peer in way["to"] if "ipBlock" in peer}
                rule(blocks == {"169.254.20.10/32", "169.254.169.254/32"}, f"{document['metadata']['name']} allows DNS to the caches on the node")
    rule(any(it.startswith("maintenance_work_mem=") for it in postgres["args"]), "maintenance_work_mem is set")

    hardened = {"ollama": {"authProxy": {"enabled": True}}, "postgresql": {"tls": {"existingSecret": "postgres-tls"}}}
    documents = render(hardened)
    config = yaml.safe_load(one(documents, "ConfigMap", "recall-pgrecall")["data"]["pgrecall.yaml"])
    rule(config["memory"]["embedding"]["ollama"]["headers"]["Authorization"] == "Bearer ${OLLAMA_API_KEY}", "the programs send the key of the proxy")
    rule("sslmode=verify-full" in one(documents, "Secret", "-database")["stringData"]["dsn"], "TLS to Postgres is verified")

    documents = render({"config": {"server": {"rate_limit": 60, "drain": "5s"}}})
    config = yaml.safe_load(one(documents, "ConfigMap", "recall-pgrecall")["data"]["pgrecall.yaml"])
    rule(config["server"]["rate_limit"] == 60 and config["server"]["drain"] == "5s" and config["server"]["transport"] == "http", "`config` overrides single keys")

    # The runbook must use names of rendered objects, components and containers.
    runbook = (pathlib.Path(__file__).parents[2] / "docs" / "run" / "operations.md").read_text()
    documents = render({"backup": {"enabled": True}})
    names = {it["metadata"]["name"] for it in documents}
    components = {it["metadata"]["labels"]["app.kubernetes.io/component"] for it in documents}
    containers = {container["name"] for it in documents if it["kind"] in WORKLOADS for container in pod_of(it)[1]["containers"]}
    named = re.findall(r"recall-pgrecall[\w-]*", runbook), re.findall(r"app.kubernetes.io/component=([\w-]+)", runbook), re.findall(r" -c ([\w-]+)", runbook)
    rule(all(named), "the runbook names objects, components and containers")
    for what, there in zip(named, (names, components, containers)):
        for name in what:
            rule(name in there, f"{name}, which the runbook names, is rendered")

    documents = render({"ollama": {"replicas": 3, "persistence": {"perPod": True}}})
    pull = next(it for it in documents if it["kind"] == "Job")
    script = pod_of(pull)[1]["containers"][0]["args"][0]
    rule(all(f"recall-pgrecall-ollama-{at}." in script for at in range(3)), "the pull Job pulls the model for each pod that has its own volume")
    return found
