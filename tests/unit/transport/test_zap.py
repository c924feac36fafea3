import pytest
import zmq.utils.z85

from p2pgan.errors import InternalError
from p2pgan.transport.zap import answer

RAW_KEY = bytes(range(32))
KEY = zmq.utils.z85.encode(RAW_KEY).decode("ascii")
KEY_ID = b"69" * 16


def asked(domain: bytes, mechanism: bytes, *credentials: bytes, version: bytes = b"1.0") -> list[bytes]:
    request = [version, b"1", domain, b"127.0.0.1", b"", mechanism, *credentials]
    return answer(request, lambda key: key == KEY, lambda password: KEY if password == KEY_ID else None)


def test_an_allowed_key_gets_in_and_names_the_connection() -> None:
    assert asked(b"control", b"CURVE", RAW_KEY) == [b"1.0", b"1", b"200", b"", KEY.encode(), b""]


def test_a_live_key_id_gets_in_and_names_the_peer_it_belongs_to() -> None:
    reply = asked(b"bulk", b"PLAIN", b"p2pgan", KEY_ID)
    assert reply == [b"1.0", b"1", b"200", b"", KEY.encode(), b""]


@pytest.mark.parametrize(
    ("domain", "mechanism", "credentials"),
    [
        (b"control", b"CURVE", [bytes(32)]),
        (b"control", b"NULL", []),
        (b"control", b"PLAIN", [b"p2pgan", KEY_ID]),
        (b"bulk", b"PLAIN", [b"p2pgan", b"other"]),
        (b"bulk", b"NULL", []),
        (b"bulk", b"CURVE", [RAW_KEY]),
        (b"", b"CURVE", [RAW_KEY]),
    ],
)
def test_all_others_are_cut_off_silently_and_may_try_again(
    domain: bytes, mechanism: bytes, credentials: list[bytes]
) -> None:
    reply = asked(domain, mechanism, *credentials)
    assert reply[2] == b"300"
    assert reply[4] == b""


def test_another_zap_is_a_defect() -> None:
    with pytest.raises(InternalError):
        asked(b"control", b"CURVE", RAW_KEY, version=b"2.0")
