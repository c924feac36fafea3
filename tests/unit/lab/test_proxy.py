"""The proxy between real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from p2pgan.lab.proxy import Address, Condition, Proxy

LINK = ("here", "there")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(lambda address: LINK[0]) as proxy:
        yield proxy


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def connect(proxy: Proxy, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection through the proxy."""
    port = proxy.forward(LINK[1], ("127.0.0.1", 0), server.getsockname())
    near = socket.create_connection(("127.0.0.1", port), timeout=10)
    far, _ = server.accept()
    far.settimeout(10)
    return near, far


def receive(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = end.recv(size - len(data))
        assert part, f"closed after {len(data)} of {size} bytes"
        data += part
    return data


def test_both_directions_are_carried_until_both_have_ended(proxy: Proxy, server: socket.socket) -> None:
    near, far = connect(proxy, server)
    with near, far:
        near.sendall(b"question")
        assert receive(far, 8) == b"question"
        near.shutdown(socket.SHUT_WR)
        assert far.recv(1) == b""

        far.sendall(b"answer")
        assert receive(near, 6) == b"answer"
        far.shutdown(socket.SHUT_WR)
        assert near.recv(1) == b""


def test_what_a_cut_holds_back_arrives_once_it_is_mended(proxy: Proxy, server: socket.socket) -> None:
    near, far = connect(proxy, server)
    with near, far:
        proxy.set([LINK], Condition(cut=True))
        near.sendall(b"held")
        far.settimeout(0.2)
        with pytest.raises(TimeoutError):
            far.recv(1)

        far.settimeout(10)
        proxy.set([LINK], Condition())

        assert receive(far, 4) == b"held"


def test_a_new_connection_over_a_cut_link_waits_as_well(proxy: Proxy, server: socket.socket) -> None:
    proxy.set([LINK], Condition(cut=True))
    port = proxy.forward(LINK[1], ("127.0.0.1", 0), server.getsockname())
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()

        server.settimeout(10)
        proxy.set([LINK], Condition())

        far, _ = server.accept()
        far.close()


def test_a_cut_link_leaves_others_alone(server: socket.socket) -> None:
    ports: dict[Address, str] = {}
    with Proxy(lambda address: ports.get(address, "other")) as proxy:
        proxy.set([LINK], Condition(cut=True))
        near, far = connect(proxy, server)
        with near, far:
            near.sendall(b"passes")
            assert receive(far, 6) == b"passes"


def test_bytes_take_as_long_as_delay_and_bandwidth_say(proxy: Proxy, server: socket.socket) -> None:
    near, far = connect(proxy, server)
    with near, far:
        proxy.set([LINK], Condition(delay_s=0.2, bytes_per_s=1_000_000))
        began = time.monotonic()
        near.sendall(bytes(300_000))
        receive(far, 300_000)

        # The lower bounds hold however slow the machine is.
        assert time.monotonic() - began >= 0.2 + 0.3 - 0.01


def test_exactly_the_bits_that_were_asked_for_are_flipped(proxy: Proxy, server: socket.socket) -> None:
    near, far = connect(proxy, server)
    with near, far:
        proxy.set([LINK], Condition(corrupt_every=1000))
        sender = threading.Thread(target=near.sendall, args=(bytes(200_500),))
        sender.start()
        got = receive(far, 200_500)
        sender.join()

        assert [i for i, byte in enumerate(got) if byte] == list(range(1000, 200_500, 1000))


def test_a_dead_target_ends_the_connection(proxy: Proxy, server: socket.socket) -> None:
    address = server.getsockname()
    server.close()
    port = proxy.forward(LINK[1], ("127.0.0.1", 0), address)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as near:
        assert near.recv(1) == b""
