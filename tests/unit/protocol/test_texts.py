"""What people read: numbers with their nouns, peers by their names, reasons that are true."""

from __future__ import annotations

import pytest

from p2pgan.protocol.effects import Note
from p2pgan.protocol.events import CommitRefused, LeaseAcquired, LeaseRead, PeerInfo, PeersRead, Tick
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.messages import Leaving
from p2pgan.protocol.texts import counted, printable, shortened
from tests.unit.protocol.steps import CONFIG, Driver

ADA, BEN, CLEO = "ada-key-0123", "ben-key-0123", "cleo-key-012"


def table(**names: str) -> PeersRead:
    """The peers table with names by identity."""
    known = {ADA: "ada", BEN: "ben", CLEO: "cleo", **names}
    return PeersRead(2, tuple(PeerInfo(peer, True, False, name) for peer, name in known.items()))


def driver() -> Driver:
    return Driver(ADA, (BEN, CLEO))


def notes(seen: Driver) -> list[str]:
    return [note.text for note in seen.of(Note)]


@pytest.mark.parametrize(("number", "text"), [(0, "0 images"), (1, "1 image"), (2, "2 images")])
def test_numbers_have_their_noun(number: int, text: str) -> None:
    assert counted(number, "image") == text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("Zoë 李", "Zoë 李"),
        ("\x1b[2Jben", "\ufffd[2Jben"),
        ("ben\r\nada leaves", "ben\ufffd\ufffdada leaves"),
        ("\u202enebb\x9b", "\ufffdnebb\ufffd"),
    ],
)
def test_a_terminal_obeys_no_name(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


def test_of_a_long_text_beginning_and_end_are_shown() -> None:
    assert shortened("a" * 20, 20) == "a" * 20
    assert shortened("a" * 20 + "b" * 20, 15) == "aaaaa ... bbbbb"


def test_a_peer_is_called_by_its_name() -> None:
    peer = driver()
    peer.give(table())
    peer.hear(BEN, Leaving(run="run", term=0))
    assert notes(peer)[-1] == "ben leaves"


def test_two_peers_of_the_same_name_are_told_apart() -> None:
    peer = driver()
    peer.give(table(**{CLEO: "ben"}))
    peer.hear(BEN, Leaving(run="run", term=0))
    assert notes(peer)[-1] == "ben (ben-key-) leaves"


def test_a_peer_called_like_this_one_is_told_apart() -> None:
    peer = driver()
    peer.give(table(**{BEN: "ada"}))
    peer.hear(BEN, Leaving(run="run", term=0))
    assert notes(peer)[-1] == "ada (ben-key-) leaves"


def test_a_nameless_peer_is_called_by_its_key() -> None:
    peer = driver()
    peer.hear(BEN, Leaving(run="run", term=0))
    assert notes(peer)[-1] == "ben-key- leaves"


def test_who_goes_without_a_word_is_named_and_who_left_is_not_named_again() -> None:
    peer = driver()
    peer.give(table())
    peer.hear(BEN, Leaving(run="run", term=0))
    peer.give(PeersRead(3, (PeerInfo(ADA, True, False, "ada"),)))
    assert notes(peer)[-2:] == ["ben leaves", "cleo is not registered any more"]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (LeaseRead(0, None, -1.0, None), "no one holds the pen yet: asking for it"),
        (LeaseRead(3, None, -1.0, None), "the pen was laid down: asking for it"),
        (LeaseRead(3, BEN, -1.0, None), "the lease of ben has run out: asking for the pen"),
        (LeaseRead(3, None, -1.0, ADA), "named as successor: asking for the pen"),
    ],
)
def test_who_asks_for_the_pen_says_why_it_is_free(row: LeaseRead, text: str) -> None:
    peer = driver()
    peer.give(table())
    peer.give(row)
    peer.give(row, after=10.0)
    assert text in notes(peer)


def test_what_the_database_says_of_a_peer_names_it() -> None:
    peer = driver()
    peer.give(table())
    peer.give(LeaseAcquired(1))
    peer.give(CommitRefused(1, f"the pen of term 1 is lost: {BEN} holds it in term 2"))
    assert "refused: the pen of term 1 is lost: ben holds it in term 2" in notes(peer)


def test_the_leader_is_named_once_its_name_is_known() -> None:
    machine = Machine(CONFIG, ADA, "run")
    said = [*machine.handle(0.0, LeaseRead(1, BEN, 5.0, None)), *machine.handle(0.1, table())]
    assert not [e for e in said if isinstance(e, Note)]
    said = [*machine.handle(0.2, Tick()), *machine.handle(0.3, Tick())]
    assert [e.text for e in said if isinstance(e, Note)] == ["ben holds the pen of term 1"]
