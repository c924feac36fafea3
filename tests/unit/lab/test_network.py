"""Addresses of a lab's peers, and who is found behind a connection."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg.conninfo import conninfo_to_dict

from p2pgan.lab.network import DATABASE, LabNetwork
from p2pgan.lab.proxy import Condition

DIAL = """
import socket, sys
host, port = input().split()
with socket.create_connection((host, int(port)), 20) as connection:
    connection.sendall(b"x")
    connection.recv(1)
"""


@contextmanager
def dialler() -> Iterator[subprocess.Popen[str]]:
    """A process that dials where it is told to."""
    with subprocess.Popen([sys.executable, "-c", DIAL], stdin=subprocess.PIPE, text=True) as process:
        yield process


def dial(process: subprocess.Popen[str], host: str, port: int) -> None:
    assert process.stdin is not None
    print(host, port, file=process.stdin, flush=True)


def test_a_cut_holds_back_the_process_that_it_is_about_and_nobody_else() -> None:
    processes: dict[str, int] = {}
    with LabNetwork("host=127.0.0.1 port=1", lambda: processes) as network:
        _, inner, _, outer, _, port = network.arguments("a")
        with (
            socket.create_server((inner, int(port))) as server,
            dialler() as cut_off,
            dialler() as other,
        ):
            processes.update(b=cut_off.pid, c=other.pid)
            network.set(["b"], ["a"], Condition(cut=True), both_ways=False)
            server.settimeout(0.5)
            dial(cut_off, outer, int(port))
            with pytest.raises(TimeoutError):
                server.accept()

            server.settimeout(20)
            dial(other, outer, int(port))
            with server.accept()[0] as far:
                assert far.recv(1) == b"x"

            network.set(["b"], ["a"], Condition(), both_ways=False)
            with server.accept()[0] as far:
                assert far.recv(1) == b"x"


def test_a_peer_has_the_same_addresses_whenever_it_starts() -> None:
    with LabNetwork("host=127.0.0.1 port=1", dict) as network:
        first = network.arguments("a")

        assert network.arguments("b") != first
        assert network.arguments("a") == first


def test_the_way_to_the_database_leads_through_the_proxy() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        dialler() as peer,
        LabNetwork(
            f"host=127.0.0.1 port={server.getsockname()[1]} user=p", lambda: {"a": peer.pid}
        ) as network,
    ):
        parts = conninfo_to_dict(network.dsn)
        assert parts["user"] == "p"
        network.set(["a"], [DATABASE], Condition(cut=True), both_ways=False)
        server.settimeout(0.5)
        dial(peer, str(parts["host"]), int(str(parts["port"])))
        with pytest.raises(TimeoutError):
            server.accept()

        server.settimeout(20)
        network.set(["a"], [DATABASE], Condition(), both_ways=False)
        with server.accept()[0] as far:
            assert far.recv(1) == b"x"
