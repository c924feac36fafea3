"""The embedded Postgres as real processes use it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from p2pgan.errors import ConfigError, RendezvousRefused, RendezvousUnavailable
from p2pgan.rendezvous import EmbeddedPostgres, Rendezvous, account, embedded_dsn, open_rendezvous
from p2pgan.rendezvous.binaries import BIN_FOLDER_VARIABLE

OPEN_AND_WAIT = """
import sys
from p2pgan.rendezvous import open_rendezvous
with open_rendezvous("embedded:" + sys.argv[1], create=True) as rendezvous:
    rendezvous.migrate()
    print("open", flush=True)
    sys.stdin.readline()
"""


def open_in_process(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN_AND_WAIT, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def listens(folder: Path) -> bool:
    try:
        psycopg.connect(embedded_dsn(folder), connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def test_it_asks_for_its_password_and_checks_its_pages(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        with psycopg.connect(postgres.dsn) as connection:
            assert connection.execute("show data_checksums").fetchone() == ("on",)
            assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)
            assert connection.execute("show fsync").fetchone() == ("on",)
        assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
        with (
            Rendezvous(make_conninfo(postgres.dsn, password="wrong")) as rendezvous,
            pytest.raises(RendezvousRefused, match="wrong user or password"),
        ):
            rendezvous.migrate()
    assert not listens(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="another account is needed only where we are root")
def test_as_root_the_other_account_owns_the_cluster_and_nothing_else(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        owned = [path for path in (folder.parent, folder, *folder.iterdir()) if path.stat().st_uid != 0]
        assert owned == [folder / "data"]


@pytest.mark.skipif(os.geteuid() != 0, reason="another account is needed only where we are root")
def test_as_root_in_a_closed_folder_the_cluster_goes_elsewhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(account, "_SHARED_STATE", folder.parent / "shared")
    with EmbeddedPostgres(closed / "postgres") as postgres:
        assert listens(postgres.folder)
        assert (closed / "postgres" / "data").resolve().is_relative_to(folder.parent / "shared")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    with EmbeddedPostgres(closed / "postgres") as postgres:
        assert listens(postgres.folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="another account is needed only where we are root")
def test_as_root_programs_out_of_reach_are_copied(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "_SHARED_STATE", folder.parent / "shared")
    root = tmp_path / "packages"
    programs, libraries = root / "pg" / "bin", root / "libs"
    programs.mkdir(parents=True)
    libraries.mkdir()
    (programs / "postgres").write_text('#!/bin/sh\ntest -f "$(dirname "$0")/../../libs/lib"\n')
    (programs / "postgres").chmod(0o755)
    (libraries / "lib").touch()
    tmp_path.chmod(0o700)
    other = account.server_account()
    copied = account.reachable_programs(other, programs, root, [programs.parent, libraries])
    assert copied != programs
    assert other.run([copied / "postgres"], 10).returncode == 0
    assert account.reachable_programs(other, programs, root, [programs.parent, libraries]) == copied


def test_processes_that_start_it_at_once_share_one_and_the_last_to_leave_stops_it(folder: Path) -> None:
    processes = [open_in_process(folder) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
    for process in processes:
        assert listens(folder)
        process.communicate("leave\n", timeout=60)
        assert process.returncode == 0
    assert not listens(folder)


def test_a_killed_process_does_not_keep_it_and_is_not_waited_for(folder: Path) -> None:
    with open_rendezvous(f"embedded:{folder}", create=True) as rendezvous:
        process = open_in_process(folder)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        process.kill()
        process.communicate()
        assert rendezvous.list_runs() == ()
    assert not listens(folder)


def test_who_came_by_dsn_keeps_it_running(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        guest = Rendezvous(postgres.dsn)
        guest.migrate()
    assert guest.list_runs() == ()
    guest.close()
    with EmbeddedPostgres(folder):
        pass
    assert not listens(folder)


def test_after_a_crash_it_comes_back_at_the_same_place_with_what_it_had(folder: Path) -> None:
    with open_rendezvous(f"embedded:{folder}", create=True) as rendezvous:
        steps = rendezvous.migrate()
        dsn = embedded_dsn(folder)
        postgres = EmbeddedPostgres(folder)
        for stop in (postgres.crash, postgres.stop):
            stop()
            for _ in range(2):
                with pytest.raises(RendezvousUnavailable):
                    rendezvous.check_schema()
            postgres.start()
            assert embedded_dsn(folder) == dsn
            rendezvous.check_schema()
        assert steps > 0
        postgres.leave()


def test_a_folder_without_one_and_one_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no embedded Postgres"):
        embedded_dsn(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used for the embedded Postgres: it is a file"):
        open_rendezvous(f"embedded:{tmp_path / 'file'}", create=True)


def test_programs_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BIN_FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=BIN_FOLDER_VARIABLE):
        open_rendezvous(f"embedded:{tmp_path / 'postgres'}", create=True)


def test_a_cluster_of_another_version_names_it(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "PG_VERSION").write_text("11\n")
    with pytest.raises(ConfigError, match="needs Postgres 11, which made this cluster; there is"):
        EmbeddedPostgres(folder).start()
    (folder / "data" / "PG_VERSION").unlink()
    (folder / "data").rmdir()


def test_a_mistyped_path_makes_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no embedded Postgres"):
        open_rendezvous(f"embedded:{tmp_path / 'mistyped'}")

    assert not (tmp_path / "mistyped").exists()
