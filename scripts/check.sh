#!/bin/sh
# Every static check, each named as it runs; goes on after a failure, and fails in the end.
set -u
cd "$(dirname "$0")/.."

failed=
run() {
    echo "== $*"
    "$@" || failed="$failed
  $*"
}

run ruff format --check --quiet .
run ruff check --quiet .
run mypy
run python -m pytest -q tests/test_layering.py tests/test_house.py
run python scripts/lock.py --check
run git diff --check

if [ -n "$failed" ]; then
    echo "failed:$failed"
    exit 1
fi
echo "all checks passed"
