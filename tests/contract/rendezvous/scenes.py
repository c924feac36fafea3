"""Runs to play with, and what makes up commits to them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from blake3 import blake3

from p2pgan.protocol.ids import Contribution, SnapshotManifest, Span, VersionRecord
from p2pgan.rendezvous import CommitOutcome, PeerRegistration, Rendezvous, RunRow

IMAGES = 1000
UNIT = 300
PART_BYTES = 4096
_numbers = itertools.count()


@dataclass
class Scene:
    """A run and what makes up commits to it."""

    rendezvous: Rendezvous
    run: RunRow
    records: list[VersionRecord] = field(default_factory=list)
    """Made so far, by ``record``."""

    def record(self, *contributions: tuple[str, Span], digest: str = "") -> VersionRecord:
        """The next version, from what peers contributed."""
        last = self.records[-1] if self.records else None
        spans: dict[str, list[Span]] = {}
        for peer, span in contributions:
            spans.setdefault(peer, []).append(span)
        version = last.version + 1 if last else 1
        made = VersionRecord(
            version=version,
            digest=digest or digest_of(f"weights {version}".encode()),
            parent_digest=last.digest if last else self.run.digest,
            term=1,
            attempt=1,
            leader="A",
            images=(last.images if last else 0) + sum(span.images for _, span in contributions),
            contributions=tuple(Contribution(peer, tuple(of)) for peer, of in sorted(spans.items())),
        )
        self.records.append(made)
        return made

    def snapshot(self, record: VersionRecord) -> tuple[SnapshotManifest, list[tuple[str, bytes]]]:
        """Two chunks that stand for the weights of a version."""
        return make_snapshot(record.version, record.digest, record.images)

    def commit(self, *records: VersionRecord, peer: str = "A", term: int = 1) -> CommitOutcome:
        """Stage the last record's snapshot and commit."""
        manifest, chunks = self.snapshot(records[-1])
        self.rendezvous.stage_chunks(self.run.id, peer, term, chunks)
        return self.rendezvous.commit_weights(self.run.id, peer, term, records, manifest)

    def take_pen(self, peer: str) -> int:
        """Let the lease run out and ``peer`` take it; its term."""
        lease = self.rendezvous.read_lease(self.run.id)
        assert lease.holder is not None
        assert self.rendezvous.renew_lease(self.run.id, lease.holder, lease.term, 0) is not None
        taken = self.rendezvous.acquire_lease(self.run.id, peer, 3600)
        assert taken is not None
        return taken.term


def open_scene(rendezvous: Rendezvous, keep_last: int = 3, milestone_every: int = 50) -> Scene:
    manifest, chunks = make_snapshot(0, digest_of(b"weights 0"), 0)
    run = rendezvous.create_run(
        name=f"run-{next(_numbers)}",
        config={"gan": {"seed": 1}},
        dataset={"count": IMAGES, "resolution": 32, "digest": "d" * 64},
        schema_hash="s" * 64,
        unit_images=UNIT,
        seed_manifest=manifest,
        chunks=chunks,
        keep_last=keep_last,
        milestone_every=milestone_every,
    )
    for peer in "AB":
        rendezvous.register_peer(run.id, registration(peer))
    assert rendezvous.acquire_lease(run.id, "A", 3600) is not None
    return Scene(rendezvous, run)


def registration(peer: str, *, name: str = "", can_lead: bool = True, port: int = 1) -> PeerRegistration:
    return PeerRegistration(
        id=peer,
        name=name or f"name of {peer}",
        device="cpu",
        control_address=f"tcp://127.0.0.1:{port}",
        bulk_address=f"tcp://127.0.0.1:{port + 1}",
        can_lead=can_lead,
    )


def make_snapshot(version: int, digest: str, images: int) -> tuple[SnapshotManifest, list[tuple[str, bytes]]]:
    parts = [blake3(f"{version} {digest}".encode()).digest(length=PART_BYTES), digest.encode()]
    chunks = [(digest_of(part), part) for part in parts]
    manifest = SnapshotManifest(
        version=version,
        digest=digest,
        schema_hash="s" * 64,
        images=images,
        length=sum(map(len, parts)),
        chunks=tuple(name for name, _ in chunks),
    )
    return manifest, chunks


def digest_of(data: bytes) -> str:
    return blake3(data).hexdigest()
