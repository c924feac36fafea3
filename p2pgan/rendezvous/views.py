"""Calls about what the dashboard draws: histories of any length, thinned out by the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

from psycopg.rows import class_row, scalar_row

from p2pgan.errors import RunError
from p2pgan.protocol.ids import PeerId
from p2pgan.rendezvous.calls import Calls

RECENT = 100
"""Versions over which shares of the work are counted."""

TOGETHER = 5
"""Versions over which a speed is taken: it is no speed over one, for which others trained before it began."""

EXAMPLES = 8
"""So many versions at least stand for a point in a peer's curve, or all there are."""

RECENT_EVENTS = 10_000
"""Among which kinds of events are looked for."""


class Overview(TypedDict):
    """What a page shows of a run beside its status; times in seconds since 1970."""

    id: int
    name: str
    state: str
    dataset: str | None
    image_count: int
    resolution: int
    unit_images: int
    classes: int
    """0: the run ignores classes. Else image ``i`` of a sample grid is of class ``i`` modulo their number."""
    created_at: float
    successor: str | None
    """For whom the pen is reserved."""
    newest_sample: int | None
    """Version of the last sample grid; this and the next two tell when there is something new to read."""
    newest_mark: int | None
    newest_event: int | None
    shares: dict[str, int]
    """Images in the last ``RECENT`` versions by peer."""


class PeerFacts(TypedDict):
    """What a peer's own page shows beside its status."""

    id: str
    name: str
    joined_at: float
    can_lead: bool
    images: int
    versions: int
    """How many it contributed to."""
    versions_led: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Means over neighbouring versions, the last of which it names; None where nobody told."""

    version: int
    at: float
    loss_g: float | None
    loss_d: float | None
    d_real: float | None
    d_fake: float | None
    images_per_s: float | None
    """Over ``TOGETHER`` versions."""
    round_s: float | None
    sign_real: float | None
    sign_held_out: float | None
    r1: float | None
    grad_g: float | None
    grad_d: float | None
    diversity: float | None
    cosine: float | None
    drift: float | None
    bytes_sent: float | None
    """By one peer for one version."""
    bytes_received: float | None


@dataclass(frozen=True, slots=True)
class PeerPoint:
    """The same for one peer."""

    peer: PeerId
    version: int
    loss_g: float | None
    loss_d: float | None
    d_real: float | None
    d_fake: float | None
    images_per_s: float | None
    sign_real: float | None
    sign_held_out: float | None
    r1: float | None
    grad_g: float | None
    grad_d: float | None
    diversity: float | None
    cosine: float | None
    drift: float | None
    bytes_sent: float | None
    bytes_received: float | None


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """Means over the scores of neighbouring versions, the last of which it names."""

    version: int
    fid: float
    floor: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that the database saw happen when ``version`` was the committed one."""

    version: int
    at: float
    kind: str
    """``joined``, ``left``, ``lost``, ``set aside``, ``pen``, ``away`` or ``rollback``."""
    text: str
    name: str
    number: int
    """How many of that kind were close by; this is the first."""


@dataclass(frozen=True, slots=True)
class UnitCell:
    """Neighbouring units of an epoch, ``first`` to ``last``: how many are done, how many handed out."""

    first: int
    last: int
    done: int
    leased: int


@dataclass(frozen=True, slots=True)
class PageEvent:
    """An event as a page shows it."""

    id: int
    at: float
    peer: PeerId | None
    name: str
    kind: str
    text: str
    mark: bool
    """Whether the database itself noted it; else it is a peer's word."""


class ViewCalls(Calls):
    """Curves, marks, cells and pages; ``points`` and ``most`` bound every answer."""

    def overview(self, run_id: int) -> Overview:
        """Raises RunError if there is no such run."""
        with self._line.call() as session:
            found = session.value("overview", {"run_id": run_id, "recent": RECENT})
        if found is None:
            raise RunError("the run does not exist")
        return cast(Overview, found)

    def sample_versions(self, run_id: int, most: int) -> tuple[int, ...]:
        """Versions with a sample grid, the first and the last among them."""
        with self._line.call() as session:
            return tuple(session.rows("sample_versions", {"run_id": run_id, "most": most}, scalar_row))

    def sample(self, run_id: int, version: int) -> bytes:
        """The PNG of a version's sample grid. Raises RunError if there is none."""
        with self._line.call() as session:
            png = session.row("read_sample", {"run_id": run_id, "version": version}, scalar_row, binary=True)
        if png is None:
            raise RunError(f"version {version} has no samples")
        return bytes(png)

    def curves(self, run_id: int, first: int, last: int, points: int) -> tuple[CurvePoint, ...]:
        """How the rounds from version ``first`` to ``last`` went, in about ``points`` parts."""
        part = {"run_id": run_id, "first": first, "last": last, "points": points, "together": TOGETHER}
        with self._line.call() as session:
            return tuple(session.rows("curves", part, class_row(CurvePoint)))

    def peer_curves(
        self, run_id: int, peers: Sequence[PeerId], first: int, last: int, points: int
    ) -> tuple[PeerPoint, ...]:
        """The same as each of ``peers`` told it, one peer after the other."""
        part = {"run_id": run_id, "first": first, "last": last, "points": points}
        whose = {"peers": list(peers), "examples": EXAMPLES}
        with self._line.call() as session:
            return tuple(session.rows("peer_curves", part | whose, class_row(PeerPoint)))

    def score_curve(self, run_id: int, first: int, last: int, points: int) -> tuple[ScorePoint, ...]:
        """The scores between these versions that compare with the newest one, in about ``points`` parts."""
        part = {"run_id": run_id, "first": first, "last": last, "points": points}
        with self._line.call() as session:
            return tuple(session.rows("score_curve", part, class_row(ScorePoint)))

    def marks(self, run_id: int, first: int, last: int, points: int) -> tuple[Mark, ...]:
        """What happened between these versions, at most one of each kind in each of ``points`` parts."""
        part = {"run_id": run_id, "first": first, "last": last, "points": points}
        with self._line.call() as session:
            return tuple(session.rows("marks", part, class_row(Mark)))

    def unit_cells(self, run_id: int, epoch: int, most: int) -> tuple[UnitCell, ...]:
        """The units of an epoch in order; none if it is not open yet."""
        with self._line.call() as session:
            parameters = {"run_id": run_id, "epoch": epoch, "most": most}
            return tuple(session.rows("unit_cells", parameters, class_row(UnitCell)))

    def events_page(
        self,
        run_id: int,
        most: int,
        *,
        before: int | None = None,
        kind: str | None = None,
        peer: PeerId | None = None,
        words: str | None = None,
        marks: bool = False,
    ) -> tuple[PageEvent, ...]:
        """The newest events older than the event ``before``, newest first.

        Only those of a ``kind``, of a ``peer``, with ``words`` in them, or that are marks, if asked for.
        """
        parameters = {
            "run_id": run_id,
            "most": most,
            "before": before,
            "kind": kind,
            "peer": peer,
            "words": words or None,
            "marks": marks,
        }
        with self._line.call() as session:
            return tuple(session.rows("events_page", parameters, class_row(PageEvent)))

    def event_kinds(self, run_id: int) -> tuple[str, ...]:
        """The kinds of the newest events and of the newest marks, the most frequent first."""
        with self._line.call() as session:
            parameters = {"run_id": run_id, "recent": RECENT_EVENTS}
            return tuple(session.rows("event_kinds", parameters, scalar_row))

    def peer_facts(self, run_id: int, peer: PeerId) -> PeerFacts:
        """Raises RunError if the run has no such peer."""
        with self._line.call() as session:
            found = session.value("peer_facts", {"run_id": run_id, "peer": peer})
        if found is None:
            raise RunError("the run has no such peer")
        return cast(PeerFacts, found)
