"""Takes the modules that decide from where they are compiled, if they are: `scripts/compile.py`.

The same source, compiled ahead by mypyc, takes half to three quarters of the time
(docs/performance.md). What is compiled counts only for exactly the source that is here, and lies
beside it under the digest of that; with any other, and where nothing is compiled, everything runs
as it is written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from hashlib import blake2b
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

MODULES = (
    "api.calls",
    "api.exchange",
    "api.front",
    "api.guard",
    "api.native.handlers",
    "api.native.hot",
    "api.routing",
    "api.whole",
    "engine.asking",
    "engine.budget",
    "engine.cache.exchange",
    "engine.cache.redis",
    "engine.check",
    "engine.decision",
    "engine.formula",
    "engine.index.closure",
    "engine.index.closures",
    "engine.index.encoding",
    "engine.index.local",
    "engine.index.parts",
    "engine.index.reader",
    "engine.index.ways",
    "engine.moments",
    "engine.plan",
    "engine.sight",
    "engine.store.overlay",
    "engine.store.reverse_overlay",
    "engine.together",
)
"""What is compiled: the way of a check from its request to its answer. Calls between compiled
modules are cheap, those to others cost what they did."""

GROUP = "stonetown_compiled"
"""The name of the library that holds the code of all modules."""

ROOT = Path(__file__).resolve().parent.parent
SWITCH = "STONETOWN_COMPILED"
_SUFFIX = EXTENSION_SUFFIXES[0]
_MADE_FROM = ("api", "engine", "schema")


def directory(root: Path = ROOT) -> Path:
    """Where the compiled modules of the source below `root` are, or would be."""
    # Of all that is imported, not of the compiled modules alone: constants and the layouts of
    # classes of other modules are compiled in.
    digest = blake2b(_SUFFIX.encode(), digest_size=16)
    for name in _MADE_FROM:
        for path in sorted((root / name).rglob("*.py")):
            text = path.read_bytes()
            digest.update(f"{path.relative_to(root).as_posix()} {len(text)}\n".encode())
            digest.update(text)
    return root / ".compiled" / digest.hexdigest()


def wanted() -> bool:
    """Whether what is compiled is to be taken: unless `STONETOWN_COMPILED` is `false`."""
    return os.environ.get(SWITCH, "").lower() not in {"false", "0", "no", "off"}


def prefer() -> None:
    """From now on, import what is compiled, if it is wanted and there."""
    if wanted() and (ROOT / ".compiled").is_dir() and (place := directory()).is_dir():
        sys.meta_path.insert(0, _Finder(place))


def is_compiled() -> bool:
    """Whether this process runs the compiled modules."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


class _Finder(MetaPathFinder):
    """Finds compiled modules."""

    def __init__(self, place: Path) -> None:
        self._files = {
            name: str(place / (name.replace(".", "/") + _SUFFIX))
            for name in (*MODULES, f"{GROUP}__mypyc")
        }

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - every module has one place
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Where a module is, None for one that is not compiled."""
        file = self._files.get(fullname)
        if file is None:
            return None
        return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, file))
