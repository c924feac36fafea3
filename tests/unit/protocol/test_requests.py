"""What others may have waiting at a peer, and whose turn it is."""

from __future__ import annotations

from p2pgan.protocol.messages import DrawRequest
from p2pgan.protocol.requests import MOST_WAITING, MOST_WAITING_IN_ALL, Requests


def request(first: int) -> DrawRequest:
    return DrawRequest(run="run", term=0, order=1, version=3, digest="ab", seed=1, first=first, images=8)


def test_one_who_asks_for_much_waits_longer_than_others() -> None:
    requests = Requests()
    assert requests.add("A", request(0)) is None
    assert requests.add("A", request(8)) is None
    assert requests.add("B", request(0)) is None
    assert [requests.next() for _ in range(4)] == [
        ("A", request(0)),
        ("B", request(0)),
        ("A", request(8)),
        None,
    ]


def test_what_one_has_waiting_is_bounded() -> None:
    requests = Requests()
    reasons = [requests.add("A", request(8 * number)) for number in range(1000)]
    assert reasons[:MOST_WAITING] == [None] * MOST_WAITING
    assert set(reasons[MOST_WAITING:]) == {"2 batches of yours wait already"}
    assert requests.add("B", request(0)) is None


def test_what_all_have_waiting_is_bounded() -> None:
    requests = Requests()
    reasons = [requests.add(f"peer {number}", request(0)) for number in range(1000)]
    assert reasons.count(None) == MOST_WAITING_IN_ALL
    assert reasons[-1] == "16 batches of others wait already"


def test_a_repeated_request_waits_once() -> None:
    requests = Requests()
    assert [requests.add("A", request(0)) for _ in range(5)] == [None] * 5
    assert [requests.next(), requests.next()] == [("A", request(0)), None]
