"""Compile the modules that decide, so that checks take less time: see `engine.compiled`.

`python scripts/compile.py [ROOT]` compiles the source below ROOT, here unless given, where that was
not done yet. Where it cannot be done it says what is missing, and all goes on as it is written.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from engine.compiled import GROUP, MODULES, ROOT, directory, wanted  # noqa: E402 - found by the line above

_SOURCES = ("schema", "engine", "api", "migrations")
# What the libraries' types are makes no difference to what is compiled, but their stubs take time.
_FLAGS = (
    "--config-file=",
    "--cache-dir=/dev/null",
    "--no-site-packages",
    "--ignore-missing-imports",
    "--disable-error-code=call-arg",
)


def missing() -> str:
    """What it takes to compile and is not here, or nothing."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler}); Debian and Ubuntu: apt install gcc libc6-dev"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "Python's headers are not here; Debian and Ubuntu: apt install python3-dev"
    return ""


def main() -> None:
    """Compile unless that is done, or was tried in vain."""
    root = Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT
    place = directory(root)
    tried = place.with_suffix(".failed")
    if place.is_dir() or not wanted():
        return
    why = missing()
    if not why and tried.is_file():
        why = f"compiling failed, as {tried} tells"
    if not why:
        print("Compiling what decides, which takes a minute or two", flush=True)
        try:
            why = compiled(root, place, tried)
        except OSError as error:
            why = str(error)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
    if why:
        print(f"Not compiled: {why}. All works without, and checks take up to twice the time.")


def compiled(root: Path, place: Path, tried: Path) -> str:
    """Put the compiled modules in their place; what went wrong, or nothing."""
    place.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="making-") as making:
        # A copy, so that what is compiled is of one state, and no project file has a say in it.
        for name in _SOURCES:
            if (root / name).is_dir():
                shutil.copytree(root / name, Path(making, name))
        if directory(Path(making)).name != place.name:
            return "the source was changed meanwhile"
        command = [sys.executable, str(Path(__file__).resolve()), "build"]
        ran = subprocess.run(
            command, cwd=making, capture_output=True, text=True, errors="replace", check=False
        )
        if ran.returncode != 0:
            tried.write_text(ran.stdout + ran.stderr)
            return f"compiling failed, as {tried} tells"
        for old in place.parent.iterdir():
            if old.name != Path(making).name and not old.name.startswith("making-"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        # It is there as a whole or not at all.
        if not place.is_dir():
            Path(making, "built").rename(place)
    return ""


def build() -> None:
    """Compile below the working directory, into `built`."""
    from mypyc.build import mypycify  # noqa: PLC0415 - slow to import, and not always there
    from setuptools import setup  # noqa: PLC0415

    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as Python has it
    files = [f"{name.replace('.', '/')}.py" for name in MODULES]
    modules = mypycify([*_FLAGS, *files], opt_level="1", debug_level="0", group_name=GROUP)
    setup(
        name=GROUP,
        packages=[],
        py_modules=[],
        ext_modules=modules,
        script_args=["build_ext", "--build-lib", "built", "--build-temp", "objects"],
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["build"]:
        build()
    else:
        main()
