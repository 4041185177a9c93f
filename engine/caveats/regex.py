"""How much work a regular expression is for RE2, which cel-cpp compiles anew on every match.

RE2 is linear in the text, but its program grows with counted repetition and with classes of many
characters: `\\pL{1000}` is nine characters and takes milliseconds. The weight below is at least
proportional to the size of the program.
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(
    r"""(?P<property>\\[pP](?:\{[^}]*\}|.)?)
      | (?P<escape>\\.)
      | (?P<set>\[\^?\]?(?:\\.|\[:[^\]]*:\]|[^\]\\])*\]?)
      | \{(?P<least>\d{1,6})(?P<comma>,)?(?P<most>\d{1,6})?\}
      | (?P<open>\()
      | (?P<close>\))
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_FOLDING = re.compile(r"\(\?[A-Za-z]*i")
_WIDE = 300
_NARROW = 10


MAX_PATTERN = 4096
_TOO_LONG = 10**9


def regex_weight(pattern: str) -> int:
    """The weight of a pattern: about the number of instructions that RE2 makes of it.

    A pattern of more than MAX_PATTERN characters weighs more than any evaluation can bear.
    """
    return _weigh(pattern) if len(pattern) <= MAX_PATTERN else _TOO_LONG


@lru_cache(maxsize=1024)
def _weigh(pattern: str) -> int:
    totals, last = [0], 0
    folds = _FOLDING.search(pattern) is not None
    for match in _TOKEN.finditer(pattern):
        if match["open"]:
            totals[-1] += last
            totals.append(2)
            last = 0
        elif match["close"]:
            inner = totals.pop() + last
            last = inner
            totals = totals or [0]
        elif match["least"]:
            last *= max(1, int(match["least"]), int(match["most"] or 1))
        else:
            totals[-1] += last
            last = _atom(match, folds)
    return sum(totals) + last


def _atom(match: re.Match[str], folds: bool) -> int:
    text = match[0]
    if match["property"]:
        return _WIDE
    if match["set"]:
        properties = text.count("\\p") + text.count("\\P")
        wide = not text.isascii() or folds or text.startswith("[^")
        return _NARROW + _WIDE * (properties + wide)
    if match["escape"] or text == "." or folds or not text.isascii():
        return _NARROW
    return 1
