"""members.py MANIFESTS PKI ETCD: asks the daemon to take the environment of every member's container.

The certificates of PKI stand where the manifests mount them, and all that the manifests name must be there.
"""

import pathlib
import subprocess
import sys

import yaml

manifests, pki, etcd = sys.argv[1:]
documents = list(yaml.safe_load_all(pathlib.Path(manifests).read_text()))
(members,) = [document for document in documents if document["kind"] == "StatefulSet"]
(container,) = members["spec"]["template"]["spec"]["containers"]
assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
(headless,) = [d for d in documents if d["kind"] == "Service" and d["spec"].get("clusterIP") == "None"]
assert headless["metadata"]["name"] == members["spec"]["serviceName"]

for number in range(members["spec"]["replicas"]):
    name = f"{members['metadata']['name']}-{number}"
    environment = {
        variable["name"]: variable["value"].replace("$(POD)", name).replace("/etc/etcd/pki", pki)
        for variable in container["env"]
        if "value" in variable
    }
    for variable, value in environment.items():
        if variable.endswith("_FILE"):
            assert pathlib.Path(value).is_file(), f"{variable}: there is no {value}"
    shown = subprocess.run([etcd, "config", "show"], env=environment, capture_output=True, text=True)
    said = shown.stdout + shown.stderr
    assert shown.returncode == 0 and "unrecognized" not in said, said
