"""Calls about work units and canonical weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar, cast

import msgspec
from blake3 import blake3
from psycopg.rows import class_row, dict_row, scalar_row
from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange

from p2pgan.errors import InternalError, RunError, WeightsError
from p2pgan.protocol.ids import Digest, PeerId, SnapshotManifest, VersionRecord
from p2pgan.rendezvous.calls import Calls
from p2pgan.rendezvous.connection import Session
from p2pgan.rendezvous.rows import CommitOutcome, EpochProgress, Progress, UnitClaim

Made = TypeVar("Made")

_CHUNKS_AT_ONCE = 8
"""Chunks taken at a time: bounds memory and how long others wait for the line."""


class WeightCalls(Calls):
    """Progress, claims, snapshots and commits."""

    def read_progress(self, run_id: int) -> Progress:
        """The committed head, and what is done of the first incomplete epoch and all after it."""
        with self._line.call() as session:
            rows = session.rows("read_progress", {"run_id": run_id}, dict_row)
        if not rows:
            raise RunError("the run does not exist")
        head = rows[0]
        # A run in which no epoch was begun gives one row without an epoch.
        epochs = [
            EpochProgress(row["epoch"], _spans(row["done"])) for row in rows if row["epoch"] is not None
        ]
        return Progress(
            head["term"], head["version"], head["digest"], head["made_in"], head["images"], tuple(epochs)
        )

    def claim_units(
        self, run_id: int, term: int, peer: PeerId, units: Sequence[tuple[int, int, int, int]], lease_s: float
    ) -> tuple[UnitClaim, ...] | None:
        """Lease units, given as (epoch, unit, start, stop), to the leader; their epochs are opened on demand.

        Returns:
            The units that are leased now: all but those already done. None if the pen is lost.

        Raises:
            InternalError: these are not the bounds of such units of this run.
        """
        parameters = {
            "run_id": run_id,
            "peer": peer,
            "term": term,
            "units": Jsonb(list(units)),
            "lease_s": lease_s,
        }
        with self._line.call() as session:
            rows = session.rows("claim_units", parameters, dict_row)
        if not rows[0]["held"]:
            return None
        # Where all were done already, the only row names no unit.
        return tuple(
            UnitClaim(row["epoch"], row["unit"], row["attempt"]) for row in rows if row["unit"] is not None
        )

    def stage_chunks(
        self, run_id: int, peer: PeerId, term: int, chunks: Iterable[tuple[Digest, bytes | memoryview]]
    ) -> int:
        """Send, as the leader, the chunks that the database does not have yet; no lock is held meanwhile.

        Chunks that another term staged in vain are sent again: they may be anything.

        Returns:
            How many were sent; the rest is not, if the pen is lost meanwhile.
        """
        sent = 0
        source = iter(chunks)
        leader = {"run_id": run_id, "peer": peer, "term": term}
        while batch := dict(islice(source, _CHUNKS_AT_ONCE)):
            with self._line.call() as session:
                wanted = {"run_id": run_id, "term": term, "digests": list(batch)}
                here = session.rows("staged_chunks", wanted, scalar_row)
                for digest, data in batch.items():
                    if digest in here:
                        continue
                    # One transaction each: it must not hold a lock while the next megabyte is on its way.
                    if not session.value("stage_chunk", {**leader, "digest": digest, "data": data}):
                        return sent
                    sent += 1
        return sent

    def commit_weights(
        self,
        run_id: int,
        peer: PeerId,
        term: int,
        records: Sequence[VersionRecord],
        manifest: SnapshotManifest,
    ) -> CommitOutcome:
        """Make ``manifest``'s version the canonical one, and its images counted, in one transaction.

        ``records`` lead from the committed version to the manifest's, oldest first; those committed
        before are passed over, so a call whose answer was lost can be made again.

        Returns:
            Not committed, with the reason, if the pen is lost, the records do not continue the
            committed history, or chunks are not staged.

        Raises:
            InternalError: the records contradict themselves or count an image twice.
        """
        parameters = {
            "run_id": run_id,
            "peer": peer,
            "term": term,
            "records": Jsonb(msgspec.to_builtins(list(records))),
            "snapshot": Jsonb(msgspec.to_builtins(manifest)),
        }
        with self._line.call() as session:
            outcome = session.row("commit_weights", parameters, class_row(CommitOutcome))
        if outcome is None:
            raise InternalError("the commit gave no answer")
        return outcome

    def roll_back(self, run_id: int, version: int, *, rehearse: bool = False) -> int:
        """Make the weights of a stored version the newest ones, as a new version, whose number this is.

        Whoever holds the pen loses it, and with it what its rounds made since the last commit. With
        ``rehearse`` all of it is taken back.

        Raises:
            RunError: that version is not stored or has the weights of the newest one, or the run is finished.
            RendezvousRefused: the login is not trusted.
        """
        with self._line.rehearsal() if rehearse else self._line.call() as session:
            outcome = session.row("roll_back", {"run_id": run_id, "version": version}, dict_row)
            if outcome is None or outcome["version"] is None:
                kept = ", ".join(map(str, session.rows("stored_versions", {"run_id": run_id}, scalar_row)))
                why = "there is no such run" if outcome is None else outcome["reason"]
                raise RunError(f"nothing changed: {why}; weights are kept of {kept or 'none'}")
        return cast(int, outcome["version"])

    def sound_version(self, run_id: int, diversity: float, apart: float, gradient: float) -> int | None:
        """The newest stored version that showed neither a diversity nor, at once, a distance of D(x) from
        D(G(z)) and a gradient of G below these; None if only version 0 is left.

        One of which nothing is known, as nobody wrote its metrics, is it only if there is no other.
        """
        limits = {"run_id": run_id, "diversity": diversity, "apart": apart, "gradient": gradient}
        with self._line.call() as session:
            return cast("int | None", session.row("sound_version", limits, scalar_row))

    def read_manifest(self, run_id: int, version: int | None = None) -> SnapshotManifest:
        """Names the bytes of a stored version; of the newest one if none is given.

        Raises:
            WeightsError: that version is not stored (any more, or yet), or its row is damaged.
        """
        with self._line.call() as session:
            row = session.row("read_manifest", {"run_id": run_id, "version": version}, dict_row)
            if row is None:
                kept = ", ".join(map(str, _stored(session, run_id)))
                raise WeightsError(
                    f"the weights of version {version} are not stored: there is {kept or 'none'}"
                )
        return _sound(row, SnapshotManifest)

    def stored_versions(self, run_id: int) -> tuple[int, ...]:
        """The versions whose weights are kept, oldest first."""
        with self._line.call() as session:
            return _stored(session, run_id)

    def read_chunks(self, run_id: int, digests: Iterable[Digest]) -> Iterator[bytes]:
        """The bytes of the chunks, one after the other, each checked against its digest.

        Raises:
            WeightsError: a chunk is gone (its version was pruned meanwhile) or damaged.
        """
        for digest in digests:
            with self._line.call() as session:
                data = _chunk(session, run_id, digest)
            if data is None:
                raise WeightsError(
                    f"chunk {digest[:12]} is not stored any more: ask for the newest version again"
                )
            if blake3(data).hexdigest() != digest:
                raise WeightsError(f"chunk {digest[:12]} is damaged in the database: use another version")
            yield data

    def read_history(self, run_id: int) -> tuple[VersionRecord, ...]:
        """Every committed round with its contributions, oldest first: the ledger, for audits.

        Version 0 came from no round and is not in it.

        Raises:
            WeightsError: a row is damaged.
        """
        with self._line.call() as session:
            rows = session.rows("read_history", {"run_id": run_id}, dict_row)
        return tuple(_sound(row, VersionRecord) for row in rows)


def _sound(row: Mapping[str, object], kind: type[Made]) -> Made:
    """What a version's row holds. Raises WeightsError if somebody wrote into it what cannot be."""
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        raise WeightsError(f"version {row['version']} is damaged in the database: {error}") from error


def _stored(session: Session, run_id: int) -> tuple[int, ...]:
    return tuple(session.rows("stored_versions", {"run_id": run_id}, scalar_row))


def _chunk(session: Session, run_id: int, digest: Digest) -> bytes | None:
    row = session.row("read_chunk", {"run_id": run_id, "digest": digest}, scalar_row, binary=True)
    return cast("bytes | None", row)


def _spans(done: Multirange[int]) -> tuple[tuple[int, int], ...]:
    """Canonical ``[start, stop)`` pairs of an int4multirange."""
    return tuple((cast(int, piece.lower), cast(int, piece.upper)) for piece in done)
