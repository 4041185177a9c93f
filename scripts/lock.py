"""Write the hash-locked requirement files, or with `--check` tell whether they are fresh.

A lock is fresh when its first line carries the digest of what it was made from, every line of it
is pinned with hashes, and none names a host. The check asks no registry.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
PROJECT = ["pyproject.toml", "--extra", "embedded"]

# The widest one comes first: the others keep its versions, so that all can be installed together.
LOCKS = {
    "dev.txt": [*PROJECT, "requirements/dev.in"],
    "app.txt": PROJECT,
    "build.txt": ["requirements/build.in"],
}
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==\S+( ; .+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
COMMENT = re.compile(r"\s*#.*")


def inputs_digest() -> str:
    """A digest of everything that the locks are made from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    made_from = {
        "python": project["requires-python"],
        "dependencies": project["dependencies"],
        "extras": project["optional-dependencies"],
        "files": {path.name: path.read_text() for path in sorted(REQUIREMENTS.glob("*.in"))},
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def header() -> str:
    """The first line of every lock."""
    return f"# Made by `make lock` from sha256:{inputs_digest()}"


def problems(name: str) -> list[str]:
    """What is wrong with the lock of that name, one line each."""
    lines = (REQUIREMENTS / name).read_text().splitlines()
    found = []
    if lines[:1] != [header()]:
        found.append(f"requirements/{name}: not made from these requirements; run `make lock`")
    for number, line in enumerate(lines, 1):
        if line and not any(shape.fullmatch(line) for shape in (PIN, HASH, COMMENT)):
            found.append(f"requirements/{name}:{number}: neither a pin with hashes nor a comment")
    return found


def write(name: str, sources: list[str]) -> None:
    """Resolve `sources` for every platform and Python that the project supports."""
    target = REQUIREMENTS / name
    constraint = [] if name == "dev.txt" else ["--constraint", "requirements/dev.txt"]
    command = ["uv", "pip", "compile", *sources, *constraint, "--universal", "--generate-hashes"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"]
    command += ["--quiet", "--output-file", str(target), *sys.argv[1:]]
    environment = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    target.write_text(f"{header()}\n{target.read_text()}")


def main() -> int:
    """Exit status 1 when a lock is not fresh. Other arguments go to uv, such as `--upgrade`."""
    if sys.argv[1:] == ["--check"]:
        found = [line for name in LOCKS for line in problems(name)]
        sys.stderr.writelines(f"{line}\n" for line in found)
        return 1 if found else 0
    for name, sources in LOCKS.items():
        write(name, sources)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
