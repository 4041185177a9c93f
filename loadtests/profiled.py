"""Where the engine's time goes on the index.

`python -m loadtests.profiled` prints the functions that a thousand checks of each kind spend most
in, by cProfile, which makes calls of Python dearer.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tempfile
from io import StringIO
from pathlib import Path

import uvloop

from loadtests.bench import machine
from loadtests.node import node, servers
from loadtests.onindex import DRIVE, QUERIES, Asker, filled, timed
from loadtests.tenants import DENIED, DIRECT, TYPICAL, Tenants

_FUNCTIONS = 20


async def run(directory: Path, tuples: int) -> str:
    """The profiles, as text."""
    tenants = Tenants(tuples)
    told = [machine()]
    async with servers(directory) as shared:
        await filled(shared, tenants, tuples)
        async with node(shared, directory / "index") as on:
            await on.built(DRIVE)
            asker = await Asker(on, DRIVE).begin()
            for kind in (DIRECT, TYPICAL, DENIED):
                queries = tenants.alike(kind, QUERIES)
                _, processor = await timed(asker.decide, queries)
                told.append(
                    f"{kind}: {processor / QUERIES * 1e6:.0f} µs of processor, not profiled"
                )
                profile = cProfile.Profile()
                profile.enable()
                await timed(asker.decide, queries)
                profile.disable()
                text = StringIO()
                pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(_FUNCTIONS)
                told += [line for line in text.getvalue().splitlines() if line.strip()]
    return "\n".join(told)


def main() -> None:
    """Profile on private servers."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.profiled")
    parser.add_argument("--tuples", type=int, default=100_000, help="how large a store")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stonetown-profiled-") as directory:
        sys.stdout.write(uvloop.run(run(Path(directory), arguments.tuples)) + "\n")


if __name__ == "__main__":
    main()
