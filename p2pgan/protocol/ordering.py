"""An order for images, spread over peers: who draws which batch, and what becomes of it.

One event in, the effects it causes out. This machine draws too, and in the end also what others are
slow with, so an order is done at the latest when this machine alone would be through with what is left::

    todo --asked of a peer, or drawn here--> out --images are here--> done
     ^--- refused, silent, gone, left out ---'

The first batch is the *trial*: this machine draws it, and so does each peer before anything else. A peer
whose images are not the same draws nothing for the order. One that was away is tried again, as it may have
started anew; what it was asked for and why it was left out is known to the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

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
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.requests import MOST_WAITING

MOST_DIFFERENCE = 1
"""Grey levels by which rounding may tell two machines' images apart."""
FIRST_S = 30.0
"""So long a peer may take to connect, and to load the weights."""
PATIENCE_S = 10.0
"""So long it may say nothing later, or four times as long as it ever did before it answered."""
HUNG_UP_S = 2.0
"""So long it may say nothing after its connection ended."""
BUSY_S = 3.0
"""A peer that is busy is asked again after so long."""
SILENT_S = 30.0
"""A peer that did not answer is asked again after so long."""


@dataclass
class _Helper:
    """A peer that draws, as far as is known."""

    name: str
    heard_at: float
    here: bool = True
    """It is in the run, as far as was seen."""
    out: dict[int, float] = field(default_factory=dict)
    """batch -> when it was asked for"""
    asked: set[int] = field(default_factory=set)
    """All that it was ever asked for."""
    tried: bool = False
    """Its images are the same as this machine's."""
    slowest_s: float = 0.0
    rests_until: float = 0.0
    silent: bool = False
    hung_up_at: float | None = None
    """When its connection ended, if nothing came since. Before it was ever heard, one may end at any time."""
    refused_for: str = ""
    """Why it draws nothing of this order."""

    def waited(self, now: float) -> float:
        """So long nothing came of what was asked for."""
        return now - max(self.heard_at, min(self.out.values(), default=now))

    def hung_up(self, now: float) -> bool:
        return self.hung_up_at is not None and now - self.hung_up_at > HUNG_UP_S

    @property
    def patience_s(self) -> float:
        return max(PATIENCE_S, 4 * self.slowest_s) if self.tried else FIRST_S

    @property
    def draws(self) -> bool:
        return self.here and not self.silent and not self.refused_for

    def come_back(self, now: float) -> None:
        """What is known of it stays known."""
        self.here, self.heard_at = True, now
        self.tried, self.silent, self.hung_up_at, self.rests_until = False, False, None, now


class Ordering:
    """All rules of one order. ``batches`` are numbers of the caller's."""

    def __init__(self, batches: Sequence[int]) -> None:
        self._todo = deque(batches)
        self._left = set(batches)
        self._trial = batches[0] if batches else None
        self._helpers: dict[PeerId, _Helper] = {}
        self._here: int | None = None
        """What this machine draws."""
        self._alone: bool | None = None
        """Whether it was told that nobody else draws; None before anybody looked."""
        self._now = 0.0
        self._effects: list[Effect] = []

    @property
    def finished(self) -> bool:
        return not self._left

    def name(self, peer: PeerId) -> str:
        """What people call a peer that was seen."""
        return self._helpers[peer].name

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Advance to ``now`` (seconds on a monotonic clock) and take one event."""
        self._now, self._effects = now, []
        match event:
            case PeersSeen(names):
                self._seen(names)
            case Answered():
                self._answered(event)
            case Wrong(peer, reason):
                self._leave_out(peer, reason)
            case Refused():
                self._refused(event)
            case HungUp(peer):
                self._hung_up(peer)
            case Drawn(batch):
                self._here = None
                self._keep(batch, None)
            case Looked():
                pass
        self._notice_silence()
        if not self.finished:
            self._draw_here()
            self._ask()
            self._tell_if_alone()
        return self._effects

    # -- what peers do -----------------------------------------------------------------------

    def _seen(self, names: Mapping[PeerId, str]) -> None:
        for peer in self._helpers.keys() - names.keys():
            helper = self._helpers[peer]
            if helper.out:
                self._tell(f"{helper.name} has gone: others draw its images")
            helper.here = False
            self._take_back(helper)
        for peer, name in sorted(names.items()):
            helper = self._helpers.setdefault(peer, _Helper(name, self._now))
            if not helper.here:
                helper.come_back(self._now)
            helper.name = name
        self._alone = bool(self._alone)

    def _answered(self, event: Answered) -> None:
        helper = self._helpers.get(event.peer)
        if helper is None or helper.refused_for:
            return
        if event.batch not in helper.asked:
            self._leave_out(event.peer, "it sent images that nobody asked it for")
            return
        if helper.tried and event.batch in helper.out:
            helper.slowest_s = max(helper.slowest_s, helper.waited(self._now))
        self._heard(helper, event.batch)
        helper.rests_until = self._now
        if event.batch != self._trial:
            self._keep(event.batch, event.peer)
        elif event.difference > MOST_DIFFERENCE:
            text = f"its images are not this machine's, by up to {event.difference} grey levels"
            self._leave_out(event.peer, text)
        else:
            helper.tried = True

    def _refused(self, event: Refused) -> None:
        helper = self._helpers.get(event.peer)
        if helper is None or event.batch not in helper.out:
            return
        self._heard(helper, event.batch)
        self._put_back(event.batch)
        if event.busy:
            helper.rests_until = self._now + BUSY_S
        else:
            self._leave_out(event.peer, event.reason)

    def _heard(self, helper: _Helper, batch: int) -> None:
        helper.out.pop(batch, None)
        helper.heard_at, helper.silent, helper.hung_up_at = self._now, False, None

    def _notice_silence(self) -> None:
        for helper in self._helpers.values():
            if helper.out and helper.hung_up(self._now):
                self._do_without(helper, "hung up")
            elif helper.out and helper.waited(self._now) > helper.patience_s:
                self._do_without(helper, "does not answer")

    def _hung_up(self, peer: PeerId) -> None:
        helper = self._helpers.get(peer)
        if helper is not None and helper.tried and helper.hung_up_at is None:
            helper.hung_up_at = self._now

    def _do_without(self, helper: _Helper, reason: str) -> None:
        """For a while, and then it is asked again."""
        if not helper.silent:
            self._tell(f"{helper.name} {reason}: others draw its images")
        helper.silent, helper.hung_up_at, helper.rests_until = True, None, self._now + SILENT_S
        self._take_back(helper)

    def _leave_out(self, peer: PeerId, reason: str) -> None:
        helper = self._helpers.get(peer)
        if helper is not None and not helper.refused_for:
            helper.refused_for = reason
            self._tell(f"{helper.name} draws nothing: {reason}")
            self._take_back(helper)

    def _take_back(self, helper: _Helper) -> None:
        batches, helper.out = list(helper.out), {}
        for batch in reversed(batches):
            self._put_back(batch)

    def _put_back(self, batch: int) -> None:
        """Somebody else is to draw it, unless somebody does."""
        elsewhere = batch == self._here or any(batch in h.out for h in self._helpers.values())
        if batch in self._left and not elsewhere:
            self._todo.appendleft(batch)

    # -- what is to be done ------------------------------------------------------------------

    def _keep(self, batch: int, peer: PeerId | None) -> None:
        if batch in self._left:
            self._left.remove(batch)
            self._effects.append(Keep(batch, peer))

    def _next(self) -> int | None:
        """What nobody draws. A batch that was put back may have come late after all."""
        while self._todo:
            batch = self._todo.popleft()
            if batch in self._left:
                return batch
        return None

    def _draw_here(self) -> None:
        if self._here is not None:
            return
        batch = self._next()
        if batch is not None:
            self._here = batch
            self._effects.append(DrawHere(batch, "trial" if batch == self._trial else "next"))
        elif out := [(at, b) for h in self._helpers.values() for b, at in h.out.items() if b in self._left]:
            self._here = min(out)[1]
            self._effects.append(DrawHere(self._here, "out for longest"))

    def _ask(self) -> None:
        for peer, helper in self._helpers.items():
            if not helper.here or helper.refused_for or self._now < helper.rests_until:
                continue
            if not helper.tried:
                if self._trial is not None and not helper.out:
                    self._ask_of(peer, helper, self._trial, "trial")
                continue
            while len(helper.out) < MOST_WAITING and (batch := self._next()) is not None:
                self._ask_of(peer, helper, batch, "next")

    def _ask_of(self, peer: PeerId, helper: _Helper, batch: int, reason: Literal["trial", "next"]) -> None:
        helper.out[batch] = self._now
        helper.asked.add(batch)
        self._effects.append(Ask(peer, batch, reason))

    def _tell_if_alone(self) -> None:
        if self._alone is None:
            return
        alone = not any(helper.draws for helper in self._helpers.values())
        if alone and not self._alone:
            self._tell("no peer of the run draws: this machine draws the rest")
        self._alone = alone

    def _tell(self, text: str) -> None:
        self._effects.append(Tell(text))
