"""``join`` and ``lead`` on a real database, over a DSN that leads to another machine as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from p2pgan.cli.main import run
from p2pgan.rendezvous import Rendezvous
from tests.contract.rendezvous.scenes import open_scene

ELSEWHERE = "db.example.org"


def with_another_host(dsn: str) -> str:
    """``dsn`` with a second host, which libpq comes to only if the first does not answer."""
    here = conninfo_to_dict(dsn)
    hosts, ports = f"{here['host']},{ELSEWHERE}", f"{here.get('port', 5432)},1"
    return make_conninfo(dsn, host=hosts, port=ports)


@pytest.mark.parametrize("command", [("join",), ("lead", "--dataset", "digits")], ids=["join", "lead"])
def test_a_way_that_is_open_to_others_is_told_in_one_line(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    with Rendezvous(server) as rendezvous:
        rendezvous.migrate()
        name = open_scene(rendezvous).run.name
    rest = ["--dry-run", "--state-dir", str(tmp_path), "--run", name if command == ("join",) else "new"]

    code = run([*command, *rest, "--rendezvous", with_another_host(server)])
    warned = capsys.readouterr()
    assert (code, warned.err.count("\n")) == (0, 1)
    assert warned.err.startswith("p2pgan: the DSN does not insist on TLS")
    assert f"on the way to {ELSEWHERE} may read" in warned.err and "sslmode=require" in warned.err
    assert "train" in warned.out, "the warning is no refusal"

    assert run([*command, *rest, "--rendezvous", server]) == 0
    assert capsys.readouterr().err == "", "this machine alone needs no TLS"
