"""How far an import or export has come, in a small file, so that it can go on after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from api.cli.failure import Failure


class Checkpoint:
    """One state file. Every `save` replaces it at once, so that it is whole or the one before."""

    def __init__(self, path: Path, identity: dict[str, str]) -> None:
        """`identity` says what is being done; a file of something else is refused."""
        self._path = path
        self._identity = identity

    def load(self) -> dict[str, Any] | None:
        """What was saved last, None if there is nothing. Raises Failure for another's state."""
        try:
            state = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            state = None
        if not isinstance(state, dict) or not isinstance(state.get("progress"), dict):
            raise Failure(f"`{self._path}` is no saved progress", hint="remove it and start again")
        for name, value in self._identity.items():
            if state.get(name) != value:
                raise Failure(
                    f"`{self._path}` was saved with {name} `{state.get(name)}`, not `{value}`",
                    hint="give the same options, or start again without --resume",
                )
        progress: dict[str, Any] = state["progress"]
        return progress

    def exists(self) -> bool:
        """Whether something was saved and not finished."""
        return self._path.exists()

    def save(self, progress: dict[str, Any]) -> None:
        """Replace what was saved."""
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_text(json.dumps({**self._identity, "progress": progress}) + "\n")
        beside.replace(self._path)

    def clear(self) -> None:
        """The work is done: there is nothing to go on with."""
        self._path.unlink(missing_ok=True)
