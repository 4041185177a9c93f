"""How a process that serves keeps its memory."""

from __future__ import annotations

import gc

_MADE = 20_000
"""Objects made and not gone after which the collector looks for cycles. A large answer makes very
many that live as long as it does, and looking through them each time takes as long as making them.
"""


def settle() -> None:
    """Keep what is here by now from being looked through again and again, and look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MADE, *gc.get_threshold()[1:])
