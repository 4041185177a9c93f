"""The paths of AuthZEN, and the URLs that its metadata are made of."""

from __future__ import annotations

from urllib.parse import urlsplit

from api.fga_ids import ID, store_id, store_name

WELL_KNOWN = "/.well-known/authzen-configuration"
_NATIVE = "/v1/stores/"
_OF_FGA = "/stores/"
_ACCESS = "access/v1/"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def native_path(path: str) -> str | None:
    """The store that an AuthZEN path is about, by the engine's name, and the rest of the path as
    it is under a store: `acme/access/v1/evaluation`. None for the path of another dialect.

    `/stores/{ULID}/…` is an OpenFGA store. Behind the well-known part stands the path of a store,
    its name or its ULID; nothing means the store `default`.
    """
    if path == WELL_KNOWN or path.startswith(f"{WELL_KNOWN}/"):
        return f"{_store(path[len(WELL_KNOWN) + 1 :] or 'default')}{WELL_KNOWN}"
    for prefix in (_NATIVE, _OF_FGA):
        if path.startswith(prefix):
            store, _, rest = path[len(prefix) :].partition("/")
            if rest.startswith(_ACCESS) or f"/{rest}" == WELL_KNOWN:
                return f"{_named(store, prefix)}/{rest}"
    return None


def identity(path: str) -> str:
    """The path of the decision point whose metadata stand at this path: the standard inserts the
    well-known part before it, and a store has it behind its own path, too."""
    before, _, after = path.partition(WELL_KNOWN)
    return before or after


def place(store: str) -> str:
    """The path of a store, as its clients know it."""
    ulid = store_id(store)
    return f"{_NATIVE}{store}" if ulid is None else f"{_OF_FGA}{ulid}"


def _store(named: str) -> str:
    """The engine's name of the store that is named by its path, its name or its ULID."""
    for prefix in (_NATIVE, _OF_FGA):
        if f"/{named}".startswith(prefix):
            return _named(named[len(prefix) - 1 :], prefix)
    return store_name(named) if ID.fullmatch(named) else named


def _named(store: str, prefix: str) -> str:
    """The engine's name of the store at a path, "" where a ULID is due and is not there."""
    if prefix == _NATIVE:
        return store
    return store_name(store) if ID.fullmatch(store) else ""


def check_base_url(value: str | None) -> str | None:
    """The base URL without a slash at its end. Raises ValueError unless it is https, or http of
    this machine, with a host and nothing behind its path."""
    if value is None:
        return None
    parts = urlsplit(value)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    plain = not (parts.username or parts.password or "?" in value or "#" in value)
    if not (secure and plain and parts.hostname and value.isascii() and value.isprintable()):
        raise ValueError("expected https://host or https://host/path, without query or fragment")
    return value.rstrip("/")
