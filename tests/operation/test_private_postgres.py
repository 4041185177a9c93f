"""The private Postgres keeps its data and its promise not to be in the way of the next start."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from api.servers.account import account_for
from api.servers.directory import DataDirectory, socket_directory
from api.servers.failure import ServerFailed
from api.servers.postgres import PrivatePostgres
from api.servers.process import listed_by_lsof, processes_in
from tests.servers import FaultProxy, eventually, frozen

# Starts a server and is killed, as a machine's owner would kill it.
KILLED = """
import os, signal, sys
from pathlib import Path
from api.servers.postgres import PrivatePostgres
server = PrivatePostgres(Path(sys.argv[1]))
server.start()
os.kill(os.getpid(), signal.SIGKILL)
"""


async def count(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS seen (at timestamptz)")
        await connection.execute("INSERT INTO seen VALUES (now())")
        return int(await connection.fetchval("SELECT count(*) FROM seen"))
    finally:
        await connection.close()


async def answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=5)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


async def test_data_survive_a_stop(data: Path) -> None:
    for expected in (1, 2):
        with PrivatePostgres(data) as server:
            assert await count(server.dsn) == expected
        assert processes_in(server.directory) == []


async def test_only_the_socket_directory_leads_in(data: Path) -> None:
    with PrivatePostgres(data) as server:
        connection = await asyncpg.connect(server.dsn)
        assert await connection.fetchval("SHOW listen_addresses") == ""
        assert await connection.fetchval("SHOW fsync") == "on"
        await connection.close()
        assert (data / "run").stat().st_mode & 0o777 == 0o700


async def test_it_is_started_again_when_it_dies(data: Path) -> None:
    with PrivatePostgres(data) as server:
        assert await count(server.dsn) == 1
        os.kill(server.keeper.pid, signal.SIGKILL)
        await eventually(lambda: answers(server.dsn))
        assert server.keeper.restarts == 1
        assert await count(server.dsn) == 2


async def test_a_killed_parent_leaves_nothing_in_the_way(data: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(data)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with PrivatePostgres(data) as server:
        assert await count(server.dsn) == 1


async def test_an_orphan_is_stopped_at_the_next_start(data: Path) -> None:
    """As on a system without the parent-death signal: the server of a killed parent lives on."""
    with PrivatePostgres(data) as server:
        assert await count(server.dsn) == 1
    orphan = server.launch()
    await eventually(lambda: answers(server.dsn))
    with PrivatePostgres(data) as server:
        assert orphan.wait(timeout=30) == 0
        assert await count(server.dsn) == 2


@pytest.mark.skipif(shutil.which("lsof") is None, reason="lsof is not installed")
async def test_lsof_finds_what_proc_does(data: Path) -> None:
    with PrivatePostgres(data) as server:
        found = set(listed_by_lsof(server.directory))
        assert server.keeper.pid in found
    assert listed_by_lsof(server.directory) == []


async def test_a_process_id_given_to_another_program_is_no_obstacle(data: Path) -> None:
    with PrivatePostgres(data) as server:
        assert await count(server.dsn) == 1
    (server.directory / "postmaster.pid").write_text(f"{os.getpid()}\n{server.directory}\n")
    with PrivatePostgres(data) as server:
        assert await count(server.dsn) == 2


async def test_an_interrupted_first_start_is_begun_again(data: Path) -> None:
    (data / "postgres.unfinished").mkdir()
    (data / "postgres.unfinished" / "PG_VERSION").write_text("18\n")
    with PrivatePostgres(data) as server:
        assert await count(server.dsn) == 1


def test_another_major_version_is_refused_with_the_way_out(data: Path) -> None:
    (data / "postgres").mkdir()
    (data / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServerFailed) as refused:
        PrivatePostgres(data).start()
    assert "was made by Postgres 9" in str(refused.value)
    assert "DATABASE_URL" in str(refused.value)
    assert "STONETOWN_DATA" in str(refused.value)


def test_a_server_that_cannot_start_says_its_own_words(data: Path) -> None:
    with PrivatePostgres(data) as server:
        pass
    (server.directory / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(ServerFailed, match="no_such_setting"):
        server.start()


async def test_long_paths_have_their_sockets_elsewhere(data: Path) -> None:
    deep = data / ("d" * 120)
    deep.mkdir()
    with PrivatePostgres(deep) as server:
        assert await count(server.dsn) == 1
        sockets = socket_directory(deep)
        assert sockets == socket_directory(deep)
        assert not sockets.is_relative_to(deep)
        assert sockets.stat().st_mode & 0o777 == 0o700
    sockets.rmdir()


def test_a_socket_directory_of_another_kind_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    deep = data / ("d" * 120)
    place = socket_directory(deep)
    place.rmdir()
    place.symlink_to(data)
    with pytest.raises(ServerFailed, match="belongs to another user"):
        socket_directory(deep)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change its account")
async def test_root_without_namespaces_runs_it_as_another_account(data: Path) -> None:
    data.chmod(0o755)
    account = account_for(data, namespaces=False)
    assert account.user is not None
    assert pwd.getpwuid(account.user).pw_name in {"postgres", "nobody"}
    with PrivatePostgres(data, namespaces=False) as server:
        assert await count(server.dsn) == 1
        assert Path(f"/proc/{server.keeper.pid}").stat().st_uid == account.user
    with PrivatePostgres(data) as server:  # whoever owns the data runs it
        assert await count(server.dsn) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change its account")
def test_a_directory_out_of_reach_is_refused(data: Path) -> None:
    closed = data / "closed"
    closed.mkdir(mode=0o700)
    inner = closed / "inner"
    inner.mkdir()
    with pytest.raises(ServerFailed, match="cannot reach"):
        PrivatePostgres(inner, namespaces=False).start()


def test_a_directory_has_one_server_at_a_time(data: Path) -> None:
    with DataDirectory(data), pytest.raises(ServerFailed, match=f"process {os.getpid()}"):
        DataDirectory(data).__enter__()
    with DataDirectory(data):
        pass


def test_a_place_that_is_no_directory_is_refused(data: Path) -> None:
    (data / "file").write_text("")
    with pytest.raises(ServerFailed, match="cannot use"):
        DataDirectory(data / "file").__enter__()


async def test_a_frozen_server_answers_when_it_thaws(data: Path) -> None:
    with PrivatePostgres(data) as server:
        with frozen(server), pytest.raises(TimeoutError):
            await asyncpg.connect(server.dsn, timeout=0.2)
        assert await count(server.dsn) == 1


async def test_the_proxy_loses_the_reply_of_a_commit(data: Path, tmp_path: Path) -> None:
    """The three cuts around a commit differ in what is stored, and never in what is told."""
    name = ".s.PGSQL.5432"
    with PrivatePostgres(data) as server:
        assert await count(server.dsn) == 1
        through = data / "proxy"
        through.mkdir()
        dsn = server.dsn.replace("run", "proxy")
        async with FaultProxy(through / name, data / "run" / name) as proxy:
            connection = await asyncpg.connect(dsn)
            proxy.cut_at_reply = b"INSERT"
            with pytest.raises(asyncpg.PostgresConnectionError):
                await connection.execute("INSERT INTO seen VALUES (now())")
            proxy.cut_at_request = b"INSERT"
            connection = await asyncpg.connect(dsn)
            with pytest.raises(asyncpg.PostgresConnectionError):
                await connection.execute("INSERT INTO seen VALUES (now())")
        assert proxy.cuts == 2
        assert await count(server.dsn) == 3
