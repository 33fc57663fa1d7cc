"""Writes which crates the programs are made of: an SBOM (CycloneDX 1.5, JSON) and their licence texts.

Only what is compiled into the programs counts: normal dependencies for Linux, not those of tests or of
the build itself. The numbers come from Cargo.lock, so two runs on one checkout write the same.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import tomllib
import uuid

TARGET = "x86_64-unknown-linux-gnu"
LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT")


def metadata(source):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=source, check=True, capture_output=True).stdout)


def shipped(found):
    """Ids of the packages inside, the root first, each with the ids it uses."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    uses, waiting = {}, [found["resolve"]["root"]]
    while waiting:
        name = waiting.pop()
        if name in uses:
            continue
        normal = [
            edge["pkg"]
            for edge in nodes[name]["deps"]
            if any(kind["kind"] is None for kind in edge["dep_kinds"])
        ]
        uses[name] = sorted(normal)
        waiting.extend(normal)
    return uses


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    entry = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package.get("license"):
        # Older crates write a slash where SPDX wants OR.
        entry["licenses"] = [{"expression": " OR ".join(map(str.strip, package["license"].split("/")))}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return entry


def bill(version, root, crates, packages, uses, checksums):
    program = {"type": "application", "bom-ref": "etcd", "name": "etcd", "version": version}
    program["licenses"] = [{"expression": packages[root]["license"]}]
    refs = {name: "etcd" if name == root else purl(packages[name]) for name in uses}
    dependencies = [
        {"ref": refs[name], "dependsOn": sorted(refs[used] for used in uses[name])} for name in [root, *crates]
    ]
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": program},
        "components": [component(packages[name], checksums) for name in crates],
        "dependencies": dependencies,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {**content, "serialNumber": uuid.UUID(digest[:32], version=4).urn}


def licences(crates, packages):
    """The texts, each once, under the names of the crates that come with it."""
    texts, bare = {}, []
    for name in crates:
        package = packages[name]
        folder = pathlib.Path(package["manifest_path"]).parent
        files = sorted(
            file for file in folder.iterdir() if file.is_file() and file.name.upper().startswith(LICENCE_FILES)
        )
        title = f"{package['name']} {package['version']} ({package.get('license') or 'see its text'})"
        for file in files:
            texts.setdefault(file.read_text(encoding="utf-8", errors="replace").strip(), []).append(title)
        if not files:
            bare.append(title)
    parts = ["The programs contain these crates, under the licences below."]
    if bare:
        parts.append("Without a text of their own:\n" + "\n".join(bare))
    line = "=" * 78
    for text, titles in sorted(texts.items(), key=lambda entry: entry[1]):
        parts.append("\n".join([line, *sorted(set(titles)), line, "", text]))
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--bill", required=True, type=pathlib.Path)
    parser.add_argument("--licences", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    found = metadata(arguments.source)
    packages = {package["id"]: package for package in found["packages"]}
    uses = shipped(found)
    root = found["resolve"]["root"]
    crates = sorted(
        (name for name in uses if name != root),
        key=lambda name: (packages[name]["name"], packages[name]["version"]),
    )
    locked = tomllib.loads((arguments.source / "Cargo.lock").read_text())["package"]
    checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in locked}
    written = bill(arguments.version, root, crates, packages, uses, checksums)
    arguments.bill.write_text(json.dumps(written, indent=1) + "\n")
    arguments.licences.write_text(licences(crates, packages))


if __name__ == "__main__":
    main()
