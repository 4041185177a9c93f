"""Runs the examples of documents: `python -m tests.api.page` writes their real output.

In a page, `$ZOOKIE` and `$CURSOR` stand for those of the newest answer that had one, `$EARLIER`
for the zookie before that, and `…` for what differs from run to run.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import httpx

from tests.api.serving import serving

_ROOT = Path(__file__).resolve().parents[2]
PAGE = _ROOT / "docs" / "http-api.md"
README = _ROOT / "README.md"
WHO = _ROOT / "docs" / "who-can-access.md"
AUDIT = _ROOT / "docs" / "audit.md"
WHY = _ROOT / "docs" / "explain.md"
AUTHZEN = _ROOT / "docs" / "authzen.md"
PAGES = (PAGE, README, WHO, AUDIT, WHY, AUTHZEN)
HOST = "http://localhost:8080"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_COMMAND = re.compile(r"^\$ (curl (?:[^'\n]|'[^']*')*)\n", re.MULTILINE)
_VARIES = re.compile(
    r'"(zookie|from_zookie|cursor|request_id|id|created_at|committed_at|now|at_exact_snapshot)":"[^"]+"'
    r"|^(id): \S+$",
    re.MULTILINE,
)
_EVENTS_SHOWN = 2


async def run_page(text: str) -> str:
    """The page with every example's output replaced by what a fresh server answers now."""
    async with serving(schema="") as served:
        seen: dict[str, str] = {}
        made, end = [], 0
        for block in _BLOCK.finditer(text):
            made.append(text[end : block.start(1)])
            for command in _COMMAND.findall(block[1]):
                output = await run(command, served.http, seen)
                made.append(f"$ {command}\n{_steady(output)}")
            end = block.end(1)
        return "".join([*made, text[end:]])


async def run(command: str, http: httpx.AsyncClient, seen: dict[str, str]) -> str:
    """Run one curl command line; remembers the zookie and cursor of its answer."""
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    method, url, body, headers, stream = "", "", None, {}, False
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "--json":
            body = next(words)
            headers["content-type"] = "application/json"
        elif word == "--data-binary":
            body = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-N":
            stream = True
        else:
            url = word.removeprefix(HOST)
    for name, value in seen.items():
        url = url.replace(f"${name}", value)
        body = body.replace(f"${name}", value) if body else body
    request = http.build_request(
        method or ("POST" if body is not None else "GET"), url, content=body, headers=headers
    )
    response = await http.send(request, stream=True)
    output = await _events(response) if stream else (await response.aread()).decode()
    await response.aclose()
    if found := re.findall('"zookie":"([^"]+)"', output):
        seen["EARLIER"], seen["ZOOKIE"] = seen.get("ZOOKIE", ""), found[-1]
    if found := re.findall('"cursor":"([^"]+)"', output):
        seen["CURSOR"] = found[-1]
    return output if output.endswith("\n") or not output else f"{output}\n"


async def _events(response: httpx.Response) -> str:
    """The first events of a stream that has no end."""
    shown: list[str] = []
    async for line in response.aiter_lines():
        shown.append(line)
        if shown.count("") == _EVENTS_SHOWN:
            break
    return "\n".join(shown)


def _steady(output: str) -> str:
    return _VARIES.sub(lambda found: f'"{found[1]}":"…"' if found[1] else "id: …", output)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(asyncio.run(run_page(page.read_text())))
