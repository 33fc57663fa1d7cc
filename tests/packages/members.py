"""members.py MANIFESTS AUTHORITY PKI PROGRAMS: three processes with the environment of the three containers.

The certificates of PKI stand where the manifests mount them, and all that the manifests name must be there. Runs as
root in namespaces of its own, where each member has an address and the name that Kubernetes would give it.
"""

import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

import yaml

manifests, authority, pki, programs = sys.argv[1:]
work = pathlib.Path(authority).parent
documents = list(yaml.safe_load_all(pathlib.Path(manifests).read_text()))
(members,) = [document for document in documents if document["kind"] == "StatefulSet"]
(container,) = members["spec"]["template"]["spec"]["containers"]
probe = container["readinessProbe"]["httpGet"]
assert probe["path"] == "/readyz"
(metrics,) = [port["containerPort"] for port in container["ports"] if port["name"] == probe["port"]]
assert members["spec"]["replicas"] == 3
(headless,) = [d for d in documents if d["kind"] == "Service" and d["spec"].get("clusterIP") == "None"]
service = members["spec"]["serviceName"]
assert headless["metadata"]["name"] == service
names = [f"{members['metadata']['name']}-{number}" for number in range(3)]
addresses = [f"127.0.0.{number}" for number in range(1, 4)]


def environment(number):
    variables = {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}
    for side in ("", "PEER_"):
        assert variables[f"ETCD_{side}CLIENT_CERT_AUTH"] == "true"
        assert {f"ETCD_{side}{part}_FILE" for part in ("CERT", "KEY", "TRUSTED_CA")} <= variables.keys()
    for side in ("LISTEN_CLIENT", "ADVERTISE_CLIENT", "LISTEN_PEER", "INITIAL_ADVERTISE_PEER"):
        assert variables[f"ETCD_{side}_URLS"].startswith("https://")
    variables["ETCD_DATA_DIR"] = str(work / names[number])
    # A pod has all of its addresses for itself.
    for place, ours in (("$(POD)", names[number]), ("/etc/etcd/pki", pki), ("0.0.0.0", addresses[number])):
        variables = {name: value.replace(place, ours) for name, value in variables.items()}
    for name, value in variables.items():
        if name.endswith("_FILE"):
            assert pathlib.Path(value).is_file(), f"{name}: there is no {value}"
    return variables


def is_ready(address):
    try:
        return urllib.request.urlopen(f"http://{address}:{metrics}{probe['path']}", timeout=2).status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def etcdctl(number, *words):
    endpoint = f"https://{names[number]}.{service}:2379"
    command = [f"{programs}/etcdctl", "--endpoints", endpoint, "--cacert", f"{pki}/ca.crt", *words]
    done = subprocess.run(command, env={}, capture_output=True, text=True)
    return done.returncode, done.stdout.strip(), done.stderr


hosts = "".join(f"{address} {name}.{service}\n" for address, name in zip(addresses, names))
(work / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "--bind", work / "hosts", "/etc/hosts"], check=True)
running = []
for number in range(3):
    shown = subprocess.run([f"{programs}/etcd", "config", "show"], env=environment(number), capture_output=True, text=True)
    said = shown.stdout + shown.stderr
    assert shown.returncode == 0 and "unrecognized" not in said, said
    with open(work / f"{names[number]}.log", "w") as log:
        running.append(subprocess.Popen([f"{programs}/etcd"], env=environment(number), stderr=log))
try:
    end = time.monotonic() + 60
    while not all(map(is_ready, addresses)):
        assert time.monotonic() < end and all(member.poll() is None for member in running), "not all are ready"
        time.sleep(0.1)
    admin = ("--cert", f"{authority}/clients/admin.crt", "--key", f"{authority}/clients/admin.key")
    assert etcdctl(0, *admin, "put", "foo", "bar")[:2] == (0, "OK")
    for number in range(3):
        assert etcdctl(number, *admin, "get", "--print-value-only", "foo")[:2] == (0, "bar")
    assert etcdctl(0, "--command-timeout=1s", "get", "foo")[0] != 0, "served without a certificate"
except AssertionError:
    for name in names:
        print((work / f"{name}.log").read_text()[-2000:])
    raise
finally:
    for member in running:
        member.terminate()
    for member in running:
        member.wait()
