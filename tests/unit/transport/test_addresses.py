import pytest

from p2pgan.transport import PeerAddress, new_keys
from p2pgan.transport.sockets import advertised, dialable

GOOD = "tcp://127.0.0.1:4000"


@pytest.mark.parametrize("endpoint", [GOOD, "tcp://lab-pc.example.org:1", "tcp://[::1]:65535"])
def test_tcp_endpoints_can_be_dialled(endpoint: str) -> None:
    assert dialable(new_keys().public, PeerAddress(endpoint, endpoint))


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "127.0.0.1:4000",
        "tcp://127.0.0.1",
        "tcp://:4000",
        "tcp://-:1",
        "tcp://....:1",
        "tcp://a b:1",
        "ipc:///tmp/x",
        "inproc://zeromq.zap.01",
        GOOD + "\n",
    ],
)
def test_anything_else_in_a_row_is_not_dialled(endpoint: str) -> None:
    assert not dialable(new_keys().public, PeerAddress(endpoint, GOOD))
    assert not dialable(new_keys().public, PeerAddress(GOOD, endpoint))


@pytest.mark.parametrize("key", ["", "short", "ü" * 40, "a" * 41, "#" * 40, " " * 40, "0" * 39])
def test_a_peer_without_a_key_is_not_dialled(key: str) -> None:
    assert not dialable(key, PeerAddress(GOOD, GOOD))


def test_the_address_told_is_the_one_given_else_the_bound_one() -> None:
    assert advertised("127.0.0.1", None) == "127.0.0.1"
    assert advertised("0.0.0.0", "lab-pc") == "lab-pc"
    assert advertised("::1", None) == "[::1]"
