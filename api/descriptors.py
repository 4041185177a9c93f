"""How many descriptors a process may have open: each connection is one, each index some."""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 1 << 16


def raise_limit() -> None:
    """Let this process, and those that it starts, have as many open as the system lets it. The
    limit that it is given at first, often 1,024, is there for programs that know no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has one more limit, which it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
