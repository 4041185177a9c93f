"""Settings: names, defaults, what is refused, and that no value is ever shown."""

from __future__ import annotations

import re
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from api.setting_values import is_loopback
from api.settings import (
    Settings,
    SettingsError,
    environment_name,
    load_settings,
)
from engine.limits import Limits

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http-api.md"
KEY = f"app:{sha256(b'secret').hexdigest()}"


def shown_default(field: str) -> str:
    default = Settings.model_fields[field].default
    if field == "api_keys" or default in (None, ""):
        return "none"
    if isinstance(default, timedelta):
        return f"{default.days}d"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    return str(default)


def test_the_documents_table_every_setting_and_default() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| `?([^|`]+)`? \| (.+) \|$", PAGE.read_text(), re.MULTILINE
    )
    expected = [
        (environment_name(name), shown_default(name), str(field.description))
        for name, field in Settings.model_fields.items()
    ]
    assert rows == expected


def test_every_limit_of_the_engine_is_a_setting_with_its_default() -> None:
    assert Settings().limits == Limits()
    changed = Settings(limit_updates=7, deadline=2)
    assert (changed.limits.updates, changed.limits.deadline) == (7, 2)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STONETOWN_PORT", "9000")
    monkeypatch.setenv("STONETOWN_HISTORY_WINDOW", "36h")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:marker@h/d")
    settings = load_settings(host="::1", workers=None)
    assert (settings.host, settings.port, settings.workers) == ("::1", 9000, 1)
    assert settings.history_window == timedelta(hours=36)
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:marker@h/d"
    assert set(settings.secrets()) == {"postgresql://u:marker@h/d", "marker"}
    assert "marker" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "window"),
    [("off", None), ("OFF", None), ("90", timedelta(seconds=90)), ("7d", timedelta(days=7))],
)
def test_windows(text: str, window: timedelta | None) -> None:
    assert load_settings(history_window=text).history_window == window


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("history_window", "marker"),
        ("history_window", "1w"),
        ("history_window", "999999999d"),
        ("database_url", "marker"),
        ("database_url", "mysql://u:marker@h/d"),
        ("database_url", "postgresql://u:marker/rest@h/d"),
        ("database_url", "postgresql://u:marker@[::1:5432/d"),
        ("database_url", "postgresql://u:p@h:marker/d"),
        ("port", "marker"),
        ("port", 70_000),
        ("log_level", "marker"),
        ("api_keys", "marker"),
        ("api_keys", "app:marker"),
        ("api_keys", f"{KEY}::marker"),
        ("api_keys", f"{KEY}:Marker"),
        ("api_keys", f"{KEY}:a:b:marker"),
        ("api_keys", f"{KEY}:read"),
        ("api_keys", f"{KEY},{KEY}"),
        ("deadline", 0),
        ("limit_updates", 0),
        ("limit_page_default", 5000),
    ],
)
def test_what_is_wrong_is_named_and_never_shown(name: str, value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**{name: value})
    assert environment_name(name).removeprefix("STONETOWN_") in str(caught.value)
    assert "marker" not in str(caught.value).lower()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.test", ""])  # noqa: S104
def test_a_host_that_others_reach_needs_keys(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(SettingsError, match="STONETOWN_API_KEYS"):
        load_settings(host=host)
    assert load_settings(host=host, api_keys=KEY).host == host


@pytest.mark.parametrize(
    "url",
    [
        "postgres://h",
        "postgresql://u:p%2Fq@h:5432/d?sslmode=require",
        "postgresql://u@one:5432,two:5433/d",
        "postgresql://u@/d?host=%2Frun%2Fpostgres",
        "postgresql://u@[::1]:5432/d",
    ],
)
def test_addresses_of_a_postgres(url: str) -> None:
    settings = load_settings(database_url=url)
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    assert load_settings(host=host).host == host
