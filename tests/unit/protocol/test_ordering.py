"""Who draws which batch of an order: events in, decisions out."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter

import pytest

from p2pgan.protocol.draws import (
    Answered,
    Ask,
    DrawHere,
    Drawn,
    Effect,
    Event,
    HungUp,
    Keep,
    Looked,
    PeersSeen,
    Refused,
    Tell,
    Wrong,
)
from p2pgan.protocol.ordering import BUSY_S, FIRST_S, HUNG_UP_S, PATIENCE_S, SILENT_S, Ordering

TWO = {"A": "ada", "B": "ben"}


def begun(batches: int = 12, names: dict[str, str] | None = None) -> tuple[Ordering, list[Effect]]:
    ordering = Ordering(range(batches))
    return ordering, ordering.handle(0.0, PeersSeen(TWO if names is None else names))


def tried(batches: int = 12) -> tuple[Ordering, list[Effect]]:
    """Both peers have shown that they draw what this machine draws; what that led to."""
    ordering, _ = begun(batches)
    effects = [*ordering.handle(1.0, Drawn(0))]
    for peer in TWO:
        effects += ordering.handle(1.0, Answered(peer, 0))
    return ordering, effects


def test_everyone_begins_with_the_same_batch() -> None:
    _, effects = begun()
    assert effects == [DrawHere(0, "trial"), Ask("A", 0, "trial"), Ask("B", 0, "trial")]


def test_who_draws_the_same_gets_batches_of_its_own() -> None:
    _, effects = tried()
    assert effects == [
        Keep(0, None),
        DrawHere(1, "next"),
        Ask("A", 2, "next"),
        Ask("A", 3, "next"),
        Ask("B", 4, "next"),
        Ask("B", 5, "next"),
    ]


def test_an_answer_is_kept_and_makes_room_for_the_next() -> None:
    ordering, _ = tried()
    assert ordering.handle(2.0, Answered("B", 5)) == [Keep(5, "B"), Ask("B", 6, "next")]


def test_images_that_differ_by_rounding_count_and_others_do_not() -> None:
    ordering, _ = begun()
    ordering.handle(1.0, Drawn(0))
    assert Ask("A", 2, "next") in ordering.handle(1.0, Answered("A", 0, difference=1))
    (told,) = ordering.handle(1.0, Answered("B", 0, difference=2))
    assert told == Tell("ben draws nothing: its images are not this machine's, by up to 2 grey levels")
    assert ordering.handle(60.0, Answered("B", 0)) == [
        Tell("ada does not answer: others draw its images"),
        Tell("no peer of the run draws: this machine draws the rest"),
    ]


def test_a_repeated_answer_changes_nothing() -> None:
    ordering, _ = tried()
    ordering.handle(2.0, Answered("B", 5))
    assert ordering.handle(2.0, Answered("B", 5)) == []


def test_what_nobody_asked_for_leaves_a_peer_out() -> None:
    ordering, _ = tried()
    told, *_ = ordering.handle(2.0, Answered("A", 9))
    assert told == Tell("ada draws nothing: it sent images that nobody asked it for")
    # Its batches are the next that somebody gets.
    assert ordering.handle(2.0, Drawn(1)) == [Keep(1, None), DrawHere(2, "next")]
    assert ordering.handle(2.0, Answered("B", 4)) == [Keep(4, "B"), Ask("B", 3, "next")]


def test_a_wrong_answer_leaves_a_peer_out() -> None:
    ordering, _ = tried()
    assert ordering.handle(2.0, Wrong("A", "too short")) == [Tell("ada draws nothing: too short")]
    assert ordering.handle(2.0, Answered("A", 2)) == []


def test_a_peer_that_lacks_the_weights_is_asked_for_nothing_more() -> None:
    ordering, _ = begun()
    assert ordering.handle(1.0, Refused("A", 0, False, "it has no version 7")) == [
        Tell("ada draws nothing: it has no version 7")
    ]
    assert ordering.handle(1.0, Drawn(0)) == [Keep(0, None), DrawHere(1, "next")]


def test_a_busy_peer_is_asked_again_later() -> None:
    ordering, _ = tried()
    assert ordering.handle(2.0, Refused("A", 3, True, "full")) == []
    assert ordering.handle(2.0, Answered("B", 4)) == [Keep(4, "B"), Ask("B", 3, "next")]
    assert ordering.handle(2.0 + BUSY_S, Looked()) == [Ask("A", 6, "next")]


def test_a_silent_peer_hands_its_batches_on_and_is_asked_again() -> None:
    ordering, _ = tried()
    late = 1.0 + PATIENCE_S + 0.1
    ordering.handle(late - 1, Answered("B", 4))
    ordering.handle(late - 1, Answered("B", 5))
    assert ordering.handle(late, Looked()) == [Tell("ada does not answer: others draw its images")]
    assert ordering.handle(late, Answered("B", 6)) == [Keep(6, "B"), Ask("B", 2, "next")]
    asked_again = ordering.handle(late + SILENT_S, Looked())
    assert Ask("A", 3, "next") in asked_again or Ask("A", 2, "next") in asked_again


def test_a_peer_that_hangs_up_hands_its_batches_on_soon() -> None:
    ordering, _ = tried()
    assert ordering.handle(2.0, HungUp("A")) == ordering.handle(2.0, HungUp("nobody")) == []
    assert ordering.handle(3.0, HungUp("A")) == []
    late = 2.1 + HUNG_UP_S
    assert ordering.handle(late, Looked()) == [Tell("ada hung up: others draw its images")]
    assert ordering.handle(late, Answered("B", 4)) == [Keep(4, "B"), Ask("B", 2, "next")]
    again = ordering.handle(late + SILENT_S, Looked())
    assert [e.peer for e in again if isinstance(e, Ask)] == ["A", "A"]


def test_a_connection_that_comes_back_is_no_loss() -> None:
    ordering, _ = tried()
    ordering.handle(2.0, HungUp("A"))
    assert ordering.handle(3.0, Answered("A", 2)) == [Keep(2, "A"), Ask("A", 6, "next")]
    assert ordering.handle(2.1 + HUNG_UP_S, Looked()) == []


def test_who_was_never_heard_cannot_have_hung_up() -> None:
    ordering, _ = begun()
    ordering.handle(1.0, HungUp("A"))
    assert ordering.handle(2.0 + HUNG_UP_S, Looked()) == []


def test_what_comes_late_after_all_is_not_drawn_again() -> None:
    ordering, _ = tried()
    late = 1.0 + PATIENCE_S + 0.1
    ordering.handle(late, Looked())
    assert Keep(2, "A") in ordering.handle(late, Answered("A", 2))
    assert ordering.handle(late, Drawn(1)) == [Keep(1, None), DrawHere(3, "next")]


def test_a_slow_peer_has_more_patience() -> None:
    ordering, _ = tried()
    ordering.handle(9.0, Answered("A", 2))
    assert ordering.handle(9.0 + 4 * 8.0 - 0.1, Answered("B", 4)) == [Keep(4, "B"), Ask("B", 7, "next")]


def test_a_peer_that_never_answers_its_first_question() -> None:
    ordering, _ = begun(names={"A": "ada"})
    ordering.handle(1.0, Drawn(0))
    assert ordering.handle(FIRST_S, Looked()) == []
    assert ordering.handle(FIRST_S + 0.1, Looked()) == [
        Tell("ada does not answer: others draw its images"),
        Tell("no peer of the run draws: this machine draws the rest"),
    ]


def test_a_peer_that_leaves_hands_its_batches_on() -> None:
    ordering, _ = tried()
    assert ordering.handle(2.0, PeersSeen({"B": "ben"})) == [
        Tell("ada has gone: others draw its images"),
    ]
    assert ordering.handle(2.0, Drawn(1)) == [Keep(1, None), DrawHere(2, "next")]


def test_a_peer_that_comes_later_draws_as_well() -> None:
    ordering, _ = tried()
    assert ordering.handle(2.0, PeersSeen({**TWO, "C": "cleo"})) == [Ask("C", 0, "trial")]
    assert ordering.handle(3.0, Answered("C", 0)) == [Ask("C", 6, "next"), Ask("C", 7, "next")]


def test_what_a_peer_drew_before_it_was_away_is_kept() -> None:
    ordering, _ = tried()
    ordering.handle(2.0, PeersSeen({"B": "ben"}))
    assert ordering.handle(2.1, Answered("A", 2)) == [Keep(2, "A")], "it is away, its images are here"
    assert ordering.handle(3.0, PeersSeen(TWO)) == [Ask("A", 0, "trial")], "it may have started anew"
    assert ordering.handle(3.1, Answered("A", 3)) == [Keep(3, "A")], "an old batch comes before the trial"
    assert ordering.handle(3.2, Answered("A", 0)) == [Ask("A", 6, "next"), Ask("A", 7, "next")]


def test_who_is_left_out_stays_so_however_often_it_comes_back() -> None:
    ordering, _ = begun()
    ordering.handle(1.0, Drawn(0))
    ordering.handle(1.0, Answered("B", 0, difference=2))
    ordering.handle(2.0, PeersSeen({"A": "ada"}))
    assert ordering.handle(3.0, PeersSeen(TWO)) == []
    assert ordering.handle(3.0, Answered("B", 0)) == []


def test_a_silent_peer_that_comes_back_is_asked_at_once() -> None:
    ordering, _ = tried()
    late = 1.1 + PATIENCE_S
    ordering.handle(late, Looked())
    ordering.handle(late, PeersSeen({}))
    again = ordering.handle(late, PeersSeen({"A": "ada"}))
    assert again == [Ask("A", 0, "trial")]


def test_who_is_away_does_not_draw() -> None:
    ordering, _ = begun(3, names={"A": "ada"})
    assert ordering.handle(1.0, PeersSeen({})) == [
        Tell("ada has gone: others draw its images"),
        Tell("no peer of the run draws: this machine draws the rest"),
    ]
    assert ordering.handle(2.0, Drawn(0)) == [Keep(0, None), DrawHere(1, "next")]


def test_without_peers_this_machine_draws_all_and_says_so_once() -> None:
    ordering, effects = begun(3, names={})
    assert effects == [DrawHere(0, "trial"), Tell("no peer of the run draws: this machine draws the rest")]
    assert ordering.handle(1.0, Drawn(0)) == [Keep(0, None), DrawHere(1, "next")]
    assert ordering.handle(1.0, PeersSeen({})) == []
    ordering.handle(2.0, Drawn(1))
    assert ordering.handle(3.0, Drawn(2)) == [Keep(2, None)]
    assert ordering.finished


def test_in_the_end_this_machine_draws_what_others_are_slow_with() -> None:
    ordering, _ = tried(4)
    assert ordering.handle(2.0, Drawn(1)) == [Keep(1, None), DrawHere(2, "out for longest")]
    assert ordering.handle(2.5, Answered("A", 2)) == [Keep(2, "A")]
    assert ordering.handle(3.0, Drawn(2)) == [DrawHere(3, "out for longest")]
    assert ordering.handle(3.5, Drawn(3)) == [Keep(3, None)]
    assert ordering.finished


def test_what_is_drawn_here_meanwhile_is_not_handed_on() -> None:
    ordering, _ = tried(4)
    assert ordering.handle(2.0, Drawn(1)) == [Keep(1, None), DrawHere(2, "out for longest")]
    told = Tell("ada draws nothing: too short")
    assert ordering.handle(2.0, Wrong("A", "too short")) == [told, Ask("B", 3, "next")]
    assert ordering.handle(2.5, Answered("B", 3)) == [Keep(3, "B")]


def test_nothing_ordered_is_done_at_once() -> None:
    assert Ordering([]).finished


# -- deaths and delays ---------------------------------------------------------------------------


class World:
    """Peers that die, stall, refuse, go, repeat themselves or draw rubbish, under a clock of its own."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.batches = self.random.randrange(1, 60)
        self.names = {f"P{n}": f"peer {n}" for n in range(self.random.randrange(0, 6))}
        self.rubbish = {p for p in self.names if self.random.random() < 0.2}
        self.pace = {p: self.random.choice((0.1, 0.5, 5.0, 50.0)) for p in self.names}
        self.dies_at = {p: self.random.choice((1e9, self.random.uniform(0, 40))) for p in self.names}
        self.away_from = {p: self.random.uniform(0, 40) for p in self.names}
        self.ordering = Ordering(range(self.batches))
        self.kept: Counter[int] = Counter()
        self.rubbish_kept = 0
        self.drawn_here = 0
        self._number = itertools.count()
        self._coming: list[tuple[float, int, Event]] = []

    def run(self) -> None:
        self._come(0.0, Looked())
        while not self.ordering.finished:
            self.now, _, event = heapq.heappop(self._coming)
            assert self.now < 1e4, "the order is never done"
            if isinstance(event, Looked):
                self._come(1.0, Looked())
                self._come(0.0, PeersSeen({p: n for p, n in self.names.items() if self._is_seen(p)}))
            for effect in self.ordering.handle(self.now, event):
                self._perform(effect)

    def _is_seen(self, peer: str) -> bool:
        """For three seconds the leader misses it, though it draws on."""
        missed = self.away_from[peer] < self.now < self.away_from[peer] + 3
        return self.dies_at[peer] > self.now - 15 and not missed

    def _come(self, after: float, event: Event) -> None:
        heapq.heappush(self._coming, (self.now + after, next(self._number), event))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Keep(batch, peer):
                self.kept[batch] += 1
                self.rubbish_kept += peer in self.rubbish
            case DrawHere(batch):
                self.drawn_here += 1
                self._come(2.0, Drawn(batch))
            case Ask(peer, batch):
                self._asked(peer, batch)
            case Tell(text):
                assert "nobody asked it for" not in text

    def _asked(self, peer: str, batch: int) -> None:
        takes = self.random.expovariate(1 / self.pace[peer])
        if self.random.random() < 0.05:  # lost on the way
            return
        if self.now + takes > self.dies_at[peer]:
            if self.random.random() < 0.5:
                self._come(max(0.0, self.dies_at[peer] - self.now), HungUp(peer))
            return
        fate = self.random.random()
        if fate < 0.1:
            self._come(takes, Refused(peer, batch, fate < 0.09, "as it happens"))
            return
        answer = Answered(peer, batch, 200 if peer in self.rubbish and batch == 0 else 0)
        for _ in range(2 if fate > 0.9 else 1):
            self._come(takes, answer)


@pytest.mark.parametrize("seed", range(300))
def test_whoever_dies_or_dawdles_each_batch_is_kept_once(seed: int) -> None:
    world = World(seed)
    world.run()
    assert world.kept == Counter(range(world.batches))
    assert world.rubbish_kept == 0
    # Alone it would have drawn each batch once, in two seconds; nobody's death makes it slower than that.
    assert world.drawn_here <= world.batches
    assert world.now <= 2.0 * world.batches + 1e-9
