"""The version of this program, which `pyproject.toml` states."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """The version that is installed; `unknown` when the program runs without being installed."""
    try:
        return version("stonetown")
    except PackageNotFoundError:
        return "unknown"
