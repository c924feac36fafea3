"""Calls about what people look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from p2pgan.errors import RunError
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.metrics import RoundMetric
from p2pgan.rendezvous.calls import Calls
from p2pgan.rendezvous.rows import EventRow, SampleRow, ScoreRow, StatusSnapshot, VersionRow


class ReportCalls(Calls):
    """Status, sample grids, events and metrics; :mod:`p2pgan.rendezvous.views` has them thinned out."""

    def status(self, run_id: int) -> StatusSnapshot:
        """The run at this moment; only peers heard of in the last 15 s count towards its speed.

        ``version`` is the highest that a live peer has, ``committed_version`` and ``digest`` the
        database's; ``leader`` is None while nobody's lease holds; ``epoch`` is the first incomplete one.
        """
        with self._line.call() as session:
            status = session.value("status", {"run_id": run_id})
        if status is None:
            raise RunError("the run does not exist")
        return cast(StatusSnapshot, status)

    def newest_versions(self, run_id: int, most: int) -> tuple[VersionRow, ...]:
        """The last ``most`` versions, newest first; version 0 is what the seed gave."""
        with self._line.call() as session:
            rows = session.rows("newest_versions", {"run_id": run_id, "most": most}, class_row(VersionRow))
        return tuple(rows)

    def contributors(self, run_id: int, version: int) -> int:
        """How many peers have something in ``version`` or an earlier one."""
        with self._line.call() as session:
            return int(cast(int, session.value("count_contributors", {"run_id": run_id, "version": version})))

    def handed_out_again(self, run_id: int) -> int:
        """How often a unit was handed out anew, because its lease was lost with a peer or a leader."""
        with self._line.call() as session:
            return int(cast(int, session.value("count_handed_out_again", {"run_id": run_id})))

    def write_sample(self, run_id: int, version: int, png: bytes) -> None:
        """Store the grid of samples of a version; a second one replaces the first."""
        with self._line.call() as session:
            session.run("write_sample", {"run_id": run_id, "version": version, "png": png})

    def samples(self, run_id: int) -> tuple[SampleRow, ...]:
        """All sample grids, oldest version first."""
        with self._line.call() as session:
            return tuple(session.rows("list_samples", {"run_id": run_id}, class_row(SampleRow), binary=True))

    def begin_score(self, run_id: int, peer: PeerId, version: int) -> bool:
        """Keep a version's weights while ``peer``, which committed it, scores it; False if that was done."""
        with self._line.call() as session:
            return bool(session.value("begin_score", {"run_id": run_id, "peer": peer, "version": version}))

    def write_score(self, run_id: int, peer: PeerId, score: ScoreRow) -> None:
        """What came of a score that ``peer`` began; a second one changes nothing."""
        told = {
            "fid": score.fid,
            "floor": score.floor,
            "images": score.images,
            "extractor": score.extractor,
            "digest": score.extractor_digest,
        }
        with self._line.call() as session:
            session.run("write_score", {"run_id": run_id, "peer": peer, "version": score.version, **told})

    def best_version(self, run_id: int) -> int | None:
        """The stored version with the lowest FID; None if none was scored."""
        with self._line.call() as session:
            return cast("int | None", session.value("best_version", {"run_id": run_id}))

    def score_up_to(self, run_id: int, version: int) -> ScoreRow | None:
        """The score of ``version``, or else of the newest one before it that has one; None if none has."""
        with self._line.call() as session:
            place = {"run_id": run_id, "version": version}
            return session.row("score_up_to", place, class_row(ScoreRow))

    def write_event(self, run_id: int, peer: PeerId | None, kind: str, text: str) -> None:
        """Note that something happened, for people to read."""
        with self._line.call() as session:
            session.run("write_event", {"run_id": run_id, "peer": peer, "kind": kind, "text": text})

    def events(self, run_id: int) -> tuple[EventRow, ...]:
        """Everything that peers noted, oldest first; what the database noted itself are ``marks``."""
        with self._line.call() as session:
            return tuple(session.rows("list_events", {"run_id": run_id}, class_row(EventRow)))

    def write_metrics(self, run_id: int, peer: PeerId, metrics: Sequence[RoundMetric]) -> None:
        """Note how rounds went that ``peer`` led and whose versions are committed; others are passed over."""
        told = Jsonb(msgspec.to_builtins(list(metrics)))
        with self._line.call() as session:
            session.run("write_metrics", {"run_id": run_id, "peer": peer, "metrics": told})
