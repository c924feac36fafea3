"""One run as a test sees it: its processes, what the database says of it, and what must hold."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from p2pgan.errors import RendezvousUnavailable
from p2pgan.gan.data import open_images, run_fingerprint, training_images
from p2pgan.gan.trainer import Trainer
from p2pgan.journal import read_versions
from p2pgan.lab.process import PeerProcess
from p2pgan.peer.config import Nested, merge, run_config
from p2pgan.peer.outer import outer_of
from p2pgan.peer.vectors import first_snapshot
from p2pgan.protocol.history import chain_problems, count_problems, journal_problems
from p2pgan.protocol.ids import VersionRecord
from p2pgan.rendezvous import Rendezvous, StatusSnapshot, open_rendezvous
from tests.integration.run.processes import Peers

IMAGES = 1797
"""Scikit-learn's digits."""

SMALL: Nested = {
    "gan": {"model": {"name": "dcgan", "width": 8, "latent_dim": 16}, "microbatch": 16},
    "sync": {"round_seconds": 1.0},
    "unit_images": 128,
    "commit_seconds": 1.0,
    "leadership": {"rotate_every": 1000},
}
"""A run whose rounds and commits take a second, and whose leader stays until something happens to it."""


class Swarm(Peers):
    """The peers of one run, by name. As a context manager it leaves no process behind."""

    def __init__(self, folder: Path, dsn: str, run: str) -> None:
        super().__init__(folder, dsn, run)
        self.database: Rendezvous = open_rendezvous(dsn)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_all()
        self.database.close()

    def create(self, settings: Nested | None = None) -> None:
        """Create the run as ``p2pgan lead`` does, so that all peers can start at the same time."""
        config = run_config(merge(SMALL, settings or {}))
        everything = open_images(config.dataset, config.gan.model.resolution)
        images = training_images(config.gan, everything)
        fingerprint = run_fingerprint(config.gan, images)
        trainer = Trainer(config.gan, images, "cpu")
        seed = first_snapshot(trainer.layout, trainer.theta(), outer_of(config, trainer.layout).memory)
        self.database.migrate()
        self.database.create_run(
            self.run,
            config.model_dump(mode="json"),
            {
                "count": fingerprint.count,
                "resolution": fingerprint.resolution,
                "digest": fingerprint.digest,
            },
            trainer.layout.schema_hash,
            config.unit_images,
            seed.manifest,
            [(name, seed.chunk(index)) for index, name in enumerate(seed.manifest.chunks)],
        )

    def leave_all(self) -> None:
        """Ctrl-C for everyone, the leader last."""
        leader = self.leader()
        self.leave(*(p for p in self.peers.values() if p.alive and p is not leader))
        self.leave(*(p for p in self.peers.values() if p.alive))

    # -- what is seen ------------------------------------------------------------------------

    def database_is_back(self) -> None:
        """Wait for the first answer; connections from before a restart of the database are dead."""

        def answers() -> bool:
            try:
                self.database.list_runs()
            except RendezvousUnavailable:
                return False
            return True

        self.until(answers, "an answer of the database")

    @property
    def run_id(self) -> int:
        return self.database.find_run(self.run).id

    def status(self) -> StatusSnapshot:
        return self.database.status(self.run_id)

    @property
    def committed(self) -> int:
        """The committed version; 0 as well while there is no run."""
        return self.database.find_run(self.run).version

    def history(self) -> tuple[VersionRecord, ...]:
        return self.database.read_history(self.run_id)

    def names(self) -> dict[str, str]:
        """Names of the registered peers by their identities."""
        return {peer["id"]: peer["name"] for peer in self.status()["peers"]}

    def leader(self) -> PeerProcess | None:
        """Who holds the pen under a lease that has not run out, if it is one of ours."""
        status = self.status()
        names = {peer["id"]: peer["name"] for peer in status["peers"]}
        return self.peers.get(names.get(status["leader"] or "", ""))

    def followers(self) -> list[PeerProcess]:
        leader = self.leader()
        return [peer for peer in self.peers.values() if peer.alive and peer is not leader]

    def grow(self, versions: int) -> int:
        """Wait for so many more committed versions; the committed version then."""
        target = self.committed + versions
        self.until(lambda: self.committed >= target, f"version {target}")
        return target

    def together(self, *names: str) -> PeerProcess:
        """Wait until all of ``names`` contribute to one version from now on; the leader then, one of ours."""
        self.in_one_version(*names)
        leader = self.until(self.leader, "a leader")
        assert leader is not None
        return leader

    def in_one_version(self, *names: str) -> None:
        """Wait until all of ``names`` contribute to one version from now on, whoever leads."""
        before = self.committed

        def look() -> bool:
            fresh = [record for record in self.history() if record.version > before]
            known = self.names()
            newest = {known.get(c.peer) for c in fresh[-1].contributions} if fresh else set()
            return set(names) <= newest

        self.until(look, f"{', '.join(names)} in one version")

    def taken_at(self, term: int) -> float:
        """Wait for an event that tells of the pen of ``term``; the database's time of it."""

        def look() -> float | None:
            events = self.database.events(self.run_id)
            return next((e.at for e in events if e.text == f"this peer holds the pen of term {term}"), None)

        at = self.until(look, f"a leader of term {term}")
        assert at is not None
        return at

    def applied(self, peer: PeerProcess) -> dict[int, str]:
        """Digests by version of what led ``peer`` to the weights it has (or ended with)."""
        return {record.version: record.digest for record in read_versions(peer.journal, self.run)}

    # -- what must hold ----------------------------------------------------------------------

    def complete_epochs(self) -> int:
        """How many epochs the database takes for finished."""
        epochs = self.database.read_progress(self.run_id).epochs
        begun = max((e.epoch + 1 for e in epochs), default=0)
        return min((e.epoch for e in epochs if e.done != ((0, IMAGES),)), default=begun)

    def problems(self) -> list[str]:
        """What is wrong with the committed history: gaps, forks, old terms, images not counted once."""
        complete = self.complete_epochs()
        history = self.history()
        genesis = self.database.read_manifest(self.run_id, 0).digest
        terms = [record.term for record in history]
        return [
            *chain_problems(history, genesis),
            *count_problems(history, IMAGES, complete),
            *([] if terms == sorted(terms) else [f"terms go back: {terms}"]),
        ]

    def agree(self, *peers: PeerProcess) -> None:
        """All of ``peers`` come to a version that is ahead now, and have the same weights there."""
        target = self.committed + 2

        def shared() -> set[str] | None:
            applied = [self.applied(peer) for peer in peers]
            common = set.intersection(*(set(versions) for versions in applied))
            newest = max(common, default=0)
            return {versions[newest] for versions in applied} if newest >= target else None

        names = ", ".join(peer.name for peer in peers)
        digests = self.until(shared, f"a version that {names} all have, from {target} on")
        assert digests is not None
        assert len(digests) == 1, f"{names} have different weights"

    def end(self) -> None:
        """Everyone leaves; what the database and the journals of those present say must fit together."""
        present = [peer for peer in self.peers.values() if peer.alive]
        self.leave_all()
        self.check_journals(*present)

    def check_journals(self, *peers: PeerProcess) -> None:
        """The history is sound, and led each of ``peers``, which ended in order, to its last weights."""
        assert self.problems() == []
        journals = {peer.name: read_versions(peer.journal, self.run) for peer in peers}
        assert all(journals.values())
        problems = journal_problems(self.history(), journals)
        assert not problems, "\n".join(map(str, problems))
