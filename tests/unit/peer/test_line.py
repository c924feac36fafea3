"""The thread that talks to the rendezvous: what fails, what is passed over, what ends the peer."""

from __future__ import annotations

from p2pgan.errors import InternalError, RendezvousUnavailable
from p2pgan.peer.inbox import Inbox, ThreadDied
from p2pgan.peer.line import Line
from p2pgan.protocol.events import DatabaseFailed


def unreachable() -> None:
    raise RendezvousUnavailable("gone")


def run(*calls: tuple[str, bool, bool]) -> tuple[list[str], list[object]]:
    """Make calls of (name, succeeds, awaited) in order; what was made, and what the inbox got."""
    inbox, made = Inbox(), []
    line = Line("test", inbox)
    for name, succeeds, awaited in calls:

        def call(name: str = name, succeeds: bool = succeeds) -> None:
            made.append(name)
            if not succeeds:
                unreachable()

        line.put(name, call, awaited)
    line.start()
    line.end(10.0)
    items = []
    while not inbox.empty():
        items.append(inbox.get())
    return made, items


def test_a_failed_call_is_an_event() -> None:
    made, items = run(("Commit", False, True), ("ReadLease", True, True))

    assert made == ["Commit", "ReadLease"]
    assert items == [DatabaseFailed("Commit")]


def test_calls_that_nobody_waits_for_do_not_pile_up_while_the_database_is_away() -> None:
    made, _ = run(
        ("RollUp", True, False),
        ("Commit", False, True),
        ("RollUp", True, False),
        ("note", True, False),
        ("Commit", True, True),
        ("RollUp", True, False),
    )

    assert made == ["RollUp", "Commit", "Commit", "RollUp"]


def test_a_defect_is_handed_to_the_loop() -> None:
    inbox = Inbox()
    line = Line("test", inbox)

    def defect() -> None:
        raise InternalError("broken")

    line.put("Commit", defect)
    line.start()
    line.end(10.0)

    item = inbox.get(timeout=1)
    assert isinstance(item, ThreadDied) and isinstance(item.error, InternalError)
