"""What the values of settings may be: durations, addresses, and the bounds of numbers."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

_DURATION = re.compile(r"(\d{1,9})([smhd]?)", re.ASCII)
_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=36_500)


def parse_window(value: Any) -> Any:
    """`7d`, `12h`, `30m`, `45s` or seconds as a timedelta; `off` as None. Raises ValueError."""
    if not isinstance(value, str):
        return value
    if value.lower() == "off":
        return None
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError("expected a duration such as `7d`, `12h`, `30m`, or `off`")
    found = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if found > _LONGEST:
        raise ValueError(f"expected at most {_LONGEST.days}d, or `off`")
    return found


def check_postgres_url(value: SecretStr) -> SecretStr:
    """`value` if it is an address of a Postgres. Raises ValueError, which shows none of it.

    A password with a `/` in it makes a port of its beginning, and the driver would show that.
    """
    try:
        parts = urlsplit(value.get_secret_value())
        known = parts.scheme in {"postgresql", "postgres"}
        for host in parts.netloc.rpartition("@")[2].split(","):
            _ = urlsplit(f"//{host}").port  # raises for one that is no number
    except ValueError:
        known = False
    if not known:
        raise ValueError(
            "expected postgresql://user:password@host:port/database; in a password `/`, `:`, `@`,"
            " `#`, `?` and `%` are written as %2F, %3A, %40, %23, %3F and %25"
        )
    return value


Window = Annotated[timedelta | None, NoDecode, BeforeValidator(parse_window)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
