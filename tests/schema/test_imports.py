"""A schema of several files becomes one text."""

from collections.abc import Callable

import pytest

from schema import SchemaSyntaxError, flatten_imports, parse_schema


def _reader(files: dict[str, str]) -> Callable[[str], str]:
    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path]

    return read


def _problems(files: dict[str, str]) -> list[tuple[str, str]]:
    with pytest.raises(SchemaSyntaxError) as refused:
        flatten_imports("main.zed", _reader(files))
    return [(problem.code, problem.source) for problem in refused.value.problems]


def test_files_are_joined_once_each_and_before_what_needs_them() -> None:
    files = {
        "dir/main.zed": """use import
use expiration
import "./parts/user.zed"   // people
import "parts/group.zed"
definition doc { relation viewer: user | group#member with expiration }
""",
        "dir/parts/group.zed": """use import
use partial
import "user.zed"
partial p { relation member: user }
definition group { ...p }
""",
        "dir/parts/user.zed": "/** People. */\ndefinition user {}\n",
    }
    text = flatten_imports("dir/main.zed", _reader(files))
    assert (
        text
        == """\
use expiration
use partial

/** People. */
definition user {}

partial p { relation member: user }
definition group { ...p }

// people

definition doc { relation viewer: user | group#member with expiration }
"""
    )
    assert list(parse_schema(text).object_types) == ["user", "group", "doc"]


def test_a_file_without_imports_stays_as_it_is() -> None:
    text = "definition user {}\n"
    assert flatten_imports("a.zed", _reader({"a.zed": text})) == text


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../other.zed", "import_path"),
        ("a/../../other.zed", "import_path"),
        ("/etc/passwd", "import_path"),
        ("..\\\\other.zed", "import_path"),
        ("", "import_path"),
        ("missing.zed", "import_unreadable"),
        ("main.zed", "import_cycle"),
        ("round.zed", "import_cycle"),
    ],
)
def test_what_cannot_be_imported(path: str, code: str) -> None:
    files = {
        "main.zed": f'use import import "{path}"',
        "round.zed": 'use import import "main.zed"',
    }
    source = "round.zed" if path == "round.zed" else "main.zed"
    assert _problems(files) == [(code, source)]


def test_a_problem_says_in_which_file_it_is() -> None:
    files = {"main.zed": 'use import\nimport "bad.zed"', "bad.zed": "definition {}"}
    with pytest.raises(SchemaSyntaxError) as refused:
        flatten_imports("main.zed", _reader(files))
    assert (
        str(refused.value)
        == """\
bad.zed:1:12: expected the name of an object type, found `{`
definition {}
           ^"""
    )


def test_a_name_in_one_file_that_is_a_keyword_in_another() -> None:
    files = {
        "main.zed": 'use import use self import "old.zed"',
        "old.zed": "definition user { relation self: user permission p = self }",
    }
    assert _problems(files) == [("reserved_name", "old.zed")]


def test_an_endless_chain_of_files_ends() -> None:
    def read(path: str) -> str:
        number = int(path.removesuffix(".zed").removeprefix("f"))
        return f'use import import "f{number + 1}.zed"'

    with pytest.raises(SchemaSyntaxError) as refused:
        flatten_imports("f0.zed", read)
    assert refused.value.problems[0].code == "too_large"


def test_the_first_file_cannot_be_read() -> None:
    with pytest.raises(FileNotFoundError):
        flatten_imports("main.zed", _reader({}))
