"""What `perf` prints is added up by place."""

from __future__ import annotations

import pytest

from loadtests import shares

LOOKS = """
           54e4e8 PyObject_GetAttr+0x8 (/usr/lib/libpython3.11.so.1.0)
           1d2e9e CPyDef_check___begin_gen+0x981 (/a b/stonetown_compiled__mypyc.cpython-311.so)
            fe62 __pyx_pf_9httptools_6parser+0x1 (/lib/parser.cpython-311.so)

           54e4e8 [unknown] (/usr/lib/libpython3.11.so.1.0)
           163961 uv__read+0x21 (/lib/loop.cpython-311.so)

 ffffffff81d00 do_syscall_64+0x32 ([kernel.kallsyms])
           8dca4 __GI___writev+0x54 (/usr/lib/libc.so.6)
            dca4 __pyx_f_6uvloop_4loop_8UVStream__try_write+0x54 (/lib/loop.cpython-311.so)
           163961 uv__read+0x21 (/lib/loop.cpython-311.so)

           8dca4 [unknown] (/somewhere/_asyncio.cpython-311.so)

"""


def test_looks_are_added_up_by_library_and_by_step() -> None:
    places, steps = shares.shares(LOOKS)
    assert {place: share for place, share in places.items() if share} == {
        "Python's interpreter": 50,
        "the kernel": 25,
        "other": 25,
    }
    assert {step: share for step, share in steps.items() if share} == {
        "deciding": 25,
        "the loop and receiving": 25,
        "sending": 25,
        "tasks": 25,
    }


def test_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["shares"])
    monkeypatch.setenv("PATH", "")
    assert shares.main() == 1
    assert "apt install linux-perf" in capsys.readouterr().err
