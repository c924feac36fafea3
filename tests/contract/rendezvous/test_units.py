from __future__ import annotations

import pytest

from p2pgan.errors import InternalError
from p2pgan.protocol.ids import Span
from p2pgan.rendezvous import UnitClaim
from tests.contract.rendezvous.scenes import Scene

HOUR = 3600.0
FAR = 1 << 20
UNITS = [(0, 0, 0, 300), (0, 3, 900, 1000)]


def claim(scene: Scene, units=UNITS, peer: str = "A", term: int = 1, lease_s: float = HOUR):
    return scene.rendezvous.claim_units(scene.run.id, term, peer, units, lease_s)


def test_claiming_opens_the_epoch_and_leases(scene: Scene) -> None:
    assert claim(scene) == (UnitClaim(0, 0, 1), UnitClaim(0, 3, 1))
    assert scene.rendezvous.status(scene.run.id)["units"] == {"open": 2, "leased": 2, "done": 0}


def test_a_lease_is_prolonged_without_a_new_attempt(scene: Scene) -> None:
    claim(scene)
    assert claim(scene) == (UnitClaim(0, 0, 1), UnitClaim(0, 3, 1))


def test_a_lease_that_ran_out_opens_the_unit_again(scene: Scene) -> None:
    claim(scene, lease_s=0)
    assert scene.rendezvous.status(scene.run.id)["units"] == {"open": 4, "leased": 0, "done": 0}
    assert claim(scene, UNITS[:1]) == (UnitClaim(0, 0, 2),)


def test_a_new_term_is_a_new_attempt(scene: Scene) -> None:
    claim(scene)
    term = scene.take_pen("B")
    assert claim(scene) is None, "A lost the pen"
    assert claim(scene, peer="B", term=term) == (UnitClaim(0, 0, 2), UnitClaim(0, 3, 2))


def test_a_finished_unit_is_not_leased(scene: Scene) -> None:
    claim(scene)
    assert scene.commit(scene.record(("A", Span(*UNITS[0])), ("B", Span(0, 3, 900, 950)))).committed
    assert scene.rendezvous.status(scene.run.id)["units"] == {"open": 2, "leased": 1, "done": 1}
    assert claim(scene) == (UnitClaim(0, 3, 1),)
    assert claim(scene, UNITS[:1]) == ()
    assert claim(scene, []) == ()


@pytest.mark.parametrize("unit", [(0, 0, 0, 299), (0, 4, 1200, 1500), (0, 1, 0, 300)], ids=str)
def test_what_is_not_a_unit_cannot_be_claimed(scene: Scene, unit: tuple[int, int, int, int]) -> None:
    with pytest.raises(InternalError, match="not units of this run"):
        claim(scene, [unit])


def units_in_all(scene: Scene) -> int:
    return sum(scene.rendezvous.status(scene.run.id)["units"].values())


def test_an_epoch_far_ahead_of_the_work_is_not_opened(scene: Scene) -> None:
    """Each epoch is a row for each unit, and whoever holds the pen names epochs."""
    assert claim(scene, [(FAR, 0, 0, 300), (2**31 - 1, 0, 0, 300), UNITS[0]]) == (UnitClaim(0, 0, 1),)
    assert units_in_all(scene) == 4


@pytest.mark.parametrize(
    "spans",
    [
        (Span(FAR, 0, 0, 300),),
        # The same image again and again does not count as work that leads there.
        (*[Span(0, 0, 0, 300)] * 2000, Span(FAR // 2, 0, 0, 300)),
    ],
    ids=["alone", "after work counted twice"],
)
def test_a_commit_does_not_open_an_epoch_far_ahead(scene: Scene, spans: tuple[Span, ...]) -> None:
    with pytest.raises(InternalError, match="too far ahead of"):
        scene.commit(scene.record(*(("A", span) for span in spans)))
    assert units_in_all(scene) == 0


def test_a_span_of_all_numbers_opens_nothing(scene: Scene) -> None:
    with pytest.raises(InternalError, match="outside of their units"):
        scene.commit(scene.record(("A", Span(0, 0, 0, 2**31 - 1)), ("A", Span(FAR, 0, 0, 300))))
    assert units_in_all(scene) == 0


def test_several_epochs_that_were_handed_out_while_the_database_was_away_are_opened(scene: Scene) -> None:
    spans = [
        Span(epoch, unit, unit * 300, min(1000, unit * 300 + 300)) for epoch in range(30) for unit in range(4)
    ]
    assert scene.commit(scene.record(*(("A", span) for span in spans))).committed
    assert units_in_all(scene) == 120
