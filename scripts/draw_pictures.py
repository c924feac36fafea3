"""Draws the pictures of the documents that show how things hang together, as SVG.

``python -m scripts.draw_pictures`` writes them into docs/pictures. The states are those of the code's own
enumerations: a state that is new, gone or renamed stops the script until its picture says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import get_args

from p2pgan.protocol.leadership import Role
from p2pgan.protocol.messages import Phase
from p2pgan.rendezvous.rows import PeerState
from scripts.svg import Drawing

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"

Place = tuple[float, float]
Way = tuple[str, str, str]
"""From, to, why."""


def architecture() -> str:
    """Peers, Postgres and those who look."""
    d = Drawing(760, 400, "Peers talk to each other directly; Postgres is where they meet")
    d.box(
        "pg", 380, 60, "Postgres", "who is here, who holds the pen,", "what is done, the weights", w=250, h=84
    )
    for x, name, what in (
        (130, "peer A", "a laptop"),
        (380, "peer B", "holds the pen"),
        (630, "peer C", "a GPU machine"),
    ):
        d.box(name, x, 230, name, what, w=150, h=64, kind="peer")
    d.box("look", 130, 60, "status, dashboard", "only look", w=176, h=56, kind="quiet")
    d.box("draw", 630, 60, "generate, export", "draw from the weights", w=170, h=56, kind="quiet")
    d.arrow("peer B", "pg", "leases, commits", at=0.55)
    d.arrow("peer A", "pg", "joins, looks", dashed=True)
    d.arrow("peer C", "pg", "joins, looks", dashed=True)
    d.arrow("look", "pg", both=False)
    d.arrow("draw", "pg")
    d.arrow("peer A", "peer B", "ZeroMQ", both=True)
    d.arrow("peer B", "peer C", "ZeroMQ", both=True)
    d.arc("peer A", "peer C", "slices and results, sealed: no gradient passes the database", 350)
    return d.text()


def a_round() -> str:
    """What members do in a round, over time."""
    d = Drawing(760, 330, "A round: train apart, average, agree, go on")
    steps = (
        ("plan", "the leader names\nmembers and spans"),
        ("train", "each its own\nimages, in seconds"),
        ("exchange", "slices to owners,\nresults to all"),
        ("vote", "the digest of what\neach would apply"),
        ("apply", "all digests equal:\na new version"),
    )
    for number, (name, what) in enumerate(steps):
        x = 84 + 148 * number
        d.box(name, x, 90, name, *what.split("\n"), w=132, h=84, kind="peer" if name == "train" else "plain")
        if number:
            d.arrow(steps[number - 1][0], name)
    d.box(
        "again",
        380,
        230,
        "without whoever is silent, leaves or is too slow",
        "the same round, attempt + 1; what was sent is kept",
        w=420,
        h=60,
        kind="quiet",
    )
    d.arrow("exchange", "again")
    d.elbow("again", "plan")
    d.box("pg", 676, 230, "commit", "to Postgres, every", "few versions", w=132, h=76, kind="quiet")
    d.arrow("apply", "pg")
    return d.text()


def data_flow() -> str:
    """From images to faces."""
    d = Drawing(760, 300, "Where the bytes go")
    row = (
        ("images", "images", "of this machine"),
        ("trainer", "trainer", "G and D, local steps"),
        ("delta", "delta", "how far they moved"),
        ("slices", "slices", "fp16, one per owner"),
    )
    for number, (key, title, what) in enumerate(row):
        d.box(key, 100 + 185 * number, 70, title, what, w=150, h=60, kind="peer" if number == 1 else "plain")
        if number:
            d.arrow(row[number - 1][0], key)
    d.box("owner", 668, 220, "owner", "one weighted mean,", "encoded once", w=150, h=76, kind="peer")
    d.box("weights", 465, 220, "new weights", "the same bytes", "everywhere", w=130, h=76)
    d.box("pg", 262, 220, "Postgres", "chunks named by", "their digest", w=130, h=76)
    d.box("faces", 90, 220, "faces", "generate, export,", "dashboard", w=130, h=76, kind="quiet")
    d.arrow("slices", "owner", "to every owner")
    d.arrow("owner", "weights", "result")
    d.arrow("weights", "pg", "commit")
    d.arrow("pg", "faces")
    d.arrow("weights", "trainer", "train on")
    return d.text()


def _states(
    title: str, size: tuple[int, int], states: type[StrEnum] | tuple[str, ...], places: Mapping[str, Place],
    ways: tuple[Way, ...], first: str,
) -> str:  # fmt: skip
    """A box for each state and an arrow for each way.

    Raises:
        ValueError: the states drawn are not those of the code.
    """
    known = {str(state) for state in states}
    drawn = set(places)
    if known != drawn or any({a, b} - known for a, b, _ in ways):
        raise ValueError(f"{title}: the code has the states {sorted(known)}, the picture {sorted(drawn)}")
    d = Drawing(*size, title)
    for name, (x, y) in places.items():
        d.box(name, x, y, name, w=130, h=40, kind="peer" if name == first else "plain")
    for start, end, why in ways:
        if (end, start) in {(a, b) for a, b, _ in ways}:
            d.bent(start, end, why)
        else:
            d.arrow(start, end, why)
    return d.text()


ROUND = (
    "announced",
    *(str(p) for p in (Phase.TRAINING, Phase.EXCHANGING, Phase.VERIFIED)),
    "committed",
    "aborted",
)
"""A round's states are its members', between its plan and its end."""


def round_states() -> str:
    """A round, from its plan to its end."""
    return _states(
        "A round", (760, 300), ROUND,
        {"announced": (100, 70), "training": (380, 70), "exchanging": (660, 70), "verified": (400, 240),
         "committed": (660, 240), "aborted": (100, 240)},
        (("announced", "training", "members take the plan"), ("training", "exchanging", "all have trained"),
         ("exchanging", "verified", "all have voted"), ("verified", "committed", "digests equal"),
         ("training", "announced", "amended"), ("verified", "announced", "amended, as from exchanging"),
         ("announced", "aborted", "nobody is left")),
        first="announced",
    )  # fmt: skip


def member_states() -> str:
    """What a peer says in its heartbeats."""
    return _states(
        "What a member does", (760, 300), Phase,
        {"catching_up": (90, 70), "idle": (370, 70), "training": (200, 240), "exchanging": (510, 240),
         "verified": (670, 70)},
        (("catching_up", "idle", "weights loaded"), ("idle", "catching_up", "other weights"),
         ("idle", "training", "plan with spans"), ("training", "idle", "left out"),
         ("training", "exchanging", "spans trained"), ("exchanging", "training", "other spans"),
         ("idle", "exchanging", "a rider"), ("exchanging", "verified", "all results in"),
         ("verified", "exchanging", "attempt + 1"), ("verified", "idle", "round committed")),
        first="catching_up",
    )  # fmt: skip


def leader_states() -> str:
    """What a peer is in a term."""
    return _states(
        "Who holds the pen", (760, 260), Role,
        {"follower": (110, 70), "gathering": (470, 70), "leading": (640, 200)},
        (("follower", "gathering", "lease acquired"), ("gathering", "follower", "lease lost"),
         ("gathering", "leading", "right weights found"), ("leading", "follower", "lost, or handed over")),
        first="follower",
    )  # fmt: skip


def peer_states() -> str:
    """A peer's row in the database."""
    return _states(
        "A peer in the table of peers", (760, 300), get_args(PeerState),
        {"joining": (110, 80), "active": (520, 80), "left": (650, 240), "lost": (250, 240)},
        (("joining", "active", "the leader hears it"), ("active", "left", "it leaves"),
         ("active", "lost", "silent"), ("lost", "active", "heard again"), ("joining", "lost", "silent")),
        first="joining",
    )  # fmt: skip


DRAWN: Mapping[str, Callable[[], str]] = {
    "architecture": architecture,
    "round": a_round,
    "data-flow": data_flow,
    "states-round": round_states,
    "states-member": member_states,
    "states-leader": leader_states,
    "states-peer": peer_states,
}


def main() -> None:
    """Writes all pictures."""
    for name, draw in DRAWN.items():
        path = PICTURES / f"{name}.svg"
        path.write_text(draw(), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
