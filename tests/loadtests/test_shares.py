"""What `perf` prints is added up by place."""

from __future__ import annotations

import pytest

from loadtests import shares

REPORT = """
    60.50%  libpython3.11.so.1.0
    14.00%  [kernel.kallsyms]
     6.25%  stonetown_compiled__mypyc.cpython-311-x86_64-linux-gnu.so
     1.25%  [vdso]
     0.50%  something.so
"""


def test_libraries_are_added_up_by_place() -> None:
    found = shares.shares(REPORT)
    assert found["Python's interpreter"] == 60.5
    assert found["the kernel"] == 15.25
    assert found["what is compiled"] == 6.25
    assert found["LMDB"] == 0
    assert found["other"] == 0.5


def test_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["shares"])
    monkeypatch.setenv("PATH", "")
    assert shares.main() == 1
    assert "apt install linux-perf" in capsys.readouterr().err
