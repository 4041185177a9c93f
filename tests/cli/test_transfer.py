"""`import` and `export`: whole, refused by line, interrupted and resumed."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program, Proxy
from tests.servers import eventually


def wait_until(question: Callable[[], bool]) -> None:
    """Return once `question` answers true; fail the test when it does not in time."""

    async def ask() -> bool:
        return question()

    asyncio.run(eventually(ask))


def lines(count: int) -> list[str]:
    return [f"document:d{number:06}#owner@user:u{number}" for number in range(count)]


def text(count: int) -> str:
    return "".join(f"{line}\n" for line in lines(count))


def stored(program: Program) -> list[str]:
    return program.ok("export").out.splitlines()


AWKWARD = [
    'document:a#viewer@user:x[on_day:{"wanted":"]\\"[ é"}]',
    "document:b#viewer@user:x[expiration:2300-01-01T00:00:00.5Z]",
    "document:c@d.e/f:g#viewer@group:eng#member",
    "document:d#viewer@user:*",
    "document:ünï#owner@user:名前",
]


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz", "t.ndjson", "t.ndjson.gz"])
def test_what_is_exported_can_be_imported(program: Program, tmp_path: Path, name: str) -> None:
    bracketed = json.dumps({"object": "document:[x]", "relation": "owner", "subject": "user:[y"})
    program.ok("import", "-", input_="\n".join([*AWKWARD, bracketed]))
    path = tmp_path / name
    told = program.ok("export", str(path), "--json").json
    assert (told["exported"], told["file"]) == (len(AWKWARD) + 1, str(path))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [name]
    before = stored(program)
    assert [line.startswith("{") for line in before].count(True) == 1
    program.ok("delete", "document")
    program.ok("import", str(path))
    assert stored(program) == before


def test_files_have_the_form_of_their_names(program: Program, tmp_path: Path) -> None:
    program.ok("import", "-", input_=text(3))
    program.ok("export", str(tmp_path / "t.txt.gz"))
    assert gzip.decompress((tmp_path / "t.txt.gz").read_bytes()).decode() == text(3)
    program.ok("export", str(tmp_path / "t.ndjson"))
    first = json.loads((tmp_path / "t.ndjson").read_text().splitlines()[0])
    assert first == {"object": "document:d000000", "relation": "owner", "subject": "user:u0"}
    assert program.ok("export", "--form", "ndjson").out == (tmp_path / "t.ndjson").read_text()
    assert program.ok("export", "--filter", "document:d000001").out.count("\n") == 1


def test_an_export_is_one_snapshot(program: Program) -> None:
    zookie = program.ok("import", "-", "--json", input_=text(2)).json["zookie"]
    program.ok("delete", "document")
    then = program.ok("export", "--zookie", zookie, "--consistency", "at_exact_snapshot")
    assert then.out == text(2)
    assert stored(program) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("// fine\n\ndocument:a#owner@user:x\nnonsense\n", ":4: `nonsense` is not"),
        ('{"object":"document:a","relation":"owner"}\n', ":1: subject: it is missing"),
        ('{"object":"document:a"', ":1: "),
        ("document:a#owner@user:x\n\ndocument:a#nope@user:x\n", ":3: relation: `document` has no"),
        ("x" * 70_000, ":1: the line is longer than"),
        (b"document:\xff#owner@user:x", ":1: not UTF-8"),
    ],
)
def test_a_wrong_line_is_named(
    program: Program, tmp_path: Path, content: str | bytes, words: str
) -> None:
    path = tmp_path / "t"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = program("import", str(path))
    assert (ended.code, ended.out) == (2, "")
    assert f"{path}{words}" in ended.error


def test_files_that_cannot_be_read_are_refused(program: Program, tmp_path: Path) -> None:
    (tmp_path / "t.gz").write_text("not packed")
    assert "damaged gzip" in program("import", str(tmp_path / "t.gz")).error
    assert "No such file" in program("import", str(tmp_path / "none")).error
    assert program("import", str(tmp_path)).code == 2
    assert program("export", str(tmp_path / "no" / "folder")).code == 2


def test_create_refuses_what_is_there(program: Program) -> None:
    program.ok("import", "-", "--op", "create", input_=text(3))
    ended = program("import", "-", "--op", "create", input_=text(4))
    assert (ended.code, "-:1: " in ended.error) == (4, True)


def test_an_empty_file_is_imported(program: Program, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("// nothing\n")
    assert program.ok("import", str(tmp_path / "t"), "--json").json["imported"] == 0


def interrupted_import(program: Program, fifo: Path, count: int) -> dict[str, int]:
    """Import the first lines of a file that does not end, until Ctrl-C; what was saved."""
    os.mkfifo(fifo)
    state = Path(f"{fifo}.import-state")
    with (
        program.started("import", str(fifo), "--batch", "10", "--json") as process,
        fifo.open("w") as writing,
    ):
        writing.write(text(count))
        writing.flush()
        wait_until(lambda: state.exists() and f'"lines": {count}' in state.read_text())
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    told = json.loads(error)["error"]
    assert (process.returncode, out, told["code"]) == (130, b"", "interrupted")
    assert "--resume" in told["hint"]
    fifo.unlink()
    made: dict[str, int] = json.loads(state.read_text())["progress"]
    return made


def test_an_interrupted_import_resumes(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "tuples"
    assert interrupted_import(program, path, 30)["lines"] == 30
    assert len(stored(program)) == 30
    path.write_text(text(75))
    assert program.ok("import", str(path), "--resume", "--json").json["imported"] == 45
    assert stored(program) == lines(75)
    assert not Path(f"{path}.import-state").exists()


def test_an_import_resumes_only_the_same_file(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "tuples"
    interrupted_import(program, path, 10)
    for other in (text(50).replace("d000003", "d999999"), text(5)):
        path.write_text(other)
        ended = program("import", str(path), "--resume")
        assert (ended.code, "not the file whose import stopped" in ended.error) == (2, True)
    path.write_text(text(20))
    elsewhere = program("import", str(path), "--resume", "--store", "default")
    assert (elsewhere.code, "was saved with store" in elsewhere.error) == (2, True)
    assert "--resume would go on" in program.ok("import", str(path)).error
    assert stored(program) == lines(20)


def test_resume_without_a_state_starts_at_the_beginning(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "tuples"
    path.write_text(text(5))
    assert "nothing to resume" in program.ok("import", str(path), "--resume").error
    assert stored(program) == lines(5)
    Path(f"{path}.import-state").write_text("{}")
    assert "no saved progress" in program("import", str(path), "--resume").error


def test_an_import_goes_on_after_a_lost_connection(program: Program, tmp_path: Path) -> None:
    (tmp_path / "t").write_text(text(100))
    with Proxy(program.url) as proxy:
        # Enough for the answers to some of the ten batches, on the one connection they share.
        proxy.cut_after = 1000
        ended = program.ok("import", str(tmp_path / "t"), "--batch", "10", "--url", proxy.url)
        assert proxy.connections == 2
    assert "trying again" in ended.error
    assert stored(program) == lines(100)


def test_an_export_goes_on_after_a_lost_connection(program: Program, tmp_path: Path) -> None:
    program.ok("import", "-", input_=text(3000))
    with Proxy(program.url) as proxy:
        proxy.cut_after = 100_000
        ended = program.ok("export", str(tmp_path / "t"), "--url", proxy.url)
        assert proxy.connections == 2
    assert "3000 tuples exported" in ended.error
    assert (tmp_path / "t").read_text() == text(3000)


@pytest.mark.parametrize("name", ["t", "t.gz"])
def test_an_interrupted_export_resumes(program: Program, tmp_path: Path, name: str) -> None:
    program.ok("import", "-", input_=text(12_000))
    path, state = tmp_path / name, tmp_path / f"{name}.export-state"
    with Proxy(program.url) as proxy:
        proxy.hold_after = 600_000
        with program.started("export", str(path), "--url", proxy.url) as process:
            wait_until(state.exists)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=30)
    assert (process.returncode, b"--resume" in error) == (130, True)
    assert not path.exists()
    # What was being written when it stopped, and what has changed since, do not count.
    with (tmp_path / f"{name}.part").open("ab") as part:
        part.write(b"half a li")
    program.ok("delete", "document:d011999")
    refused = program("export", str(path), "--resume")
    assert (refused.code, "was saved with server" in refused.error) == (2, True)
    saved = json.loads(state.read_text()) | {"server": program.url}
    state.write_text(json.dumps(saved))
    told = program.ok("export", str(path), "--resume", "--json").json
    assert told["exported"] == 12_000
    data = path.read_bytes()
    whole = gzip.decompress(data) if name.endswith(".gz") else data
    assert whole.decode() == text(12_000)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [name]


def test_what_would_be_stored_is_exported_and_read(program: Program, tmp_path: Path) -> None:
    program.ok("write", "document:a#viewer@user:ann", "document:b#viewer@user:ann")
    laid = ("--with", "document:c#viewer@user:bo", "--without", "document:a#viewer@user:ann")
    left = ["document:b#viewer@user:ann", "document:c#viewer@user:bo"]
    assert program.ok("export", *laid).out.splitlines() == left
    program.ok("export", str(tmp_path / "t.txt"), *laid)
    assert (tmp_path / "t.txt").read_text().splitlines() == left
    told = program.ok("read", "document", *laid, "--limit", "2", "--json").json["tuples"]
    assert [item["object"] for item in told] == ["document:b", "document:c"]
    assert program("export", "--with", "document:c#nobody@user:bo").code == 2
    assert len(program.ok("export").out.splitlines()) == 2
