#!/bin/sh
# Make .venv hold what is asked for: `app` to serve, `dev` for the tests, checks and load tests too.
# Does nothing when it does already. Needs a Python of at least 3.11 with the venv module.
set -eu

want=$1
cd "$(dirname "$0")/.."

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is needed, and none of these is one:" \
        "${PYTHON:-python3, python3.13, python3.12, python3.11}." >&2
    echo "Install it (Debian and Ubuntu: apt install python3 python3-venv)," \
        "or name one: make PYTHON=/path/to/python3" >&2
    exit 1
}

# The place is part of it: programs in a virtual environment name it by its full path.
digest() {
    { pwd; cat pyproject.toml requirements/*.txt; } |
        "$1" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

stamp=.venv/stonetown-installed
if new_enough .venv/bin/python; then
    now=$(digest .venv/bin/python)
    held=$(cat "$stamp" 2>/dev/null || true)
    case "$held" in
        "$want $now" | "dev $now") exit 0 ;;
    esac
fi

python=$(find_python)
case "$(cat .venv/stonetown-place 2>/dev/null || true)" in
    "$(pwd)") ;;
    *) rm -rf .venv ;;
esac
if ! new_enough .venv/bin/python; then
    echo "Making .venv with $("$python" --version)"
    rm -rf .venv
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        echo "$python cannot make virtual environments" \
            "(Debian and Ubuntu: apt install python3-venv)." >&2
        exit 1
    fi
    pwd >.venv/stonetown-place
fi

rm -f "$stamp"
pip() {
    .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"
}
if [ "$want" = dev ]; then
    set -- -r requirements/dev.txt
else
    set -- -r requirements/app.txt -r requirements/build.txt
fi
echo "Installing into .venv: $*"
pip install --require-hashes --no-deps "$@"
pip install --no-index --no-build-isolation --no-deps --editable .
echo "$want $(digest .venv/bin/python)" >"$stamp"
