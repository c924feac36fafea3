"""Real peers on a real Postgres: started as processes, watched through the database, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from p2pgan.errors import RendezvousUnavailable
from p2pgan.gan.data import open_images
from p2pgan.gan.trainer import Trainer
from p2pgan.journal import read_versions
from p2pgan.lab.fleet import PeerProcess
from p2pgan.peer.config import Nested, merge, run_config
from p2pgan.peer.failpoints import VARIABLE, Moment
from p2pgan.peer.vectors import Snapshot
from p2pgan.protocol.history import chain_problems, count_problems, journal_problems
from p2pgan.protocol.ids import VersionRecord
from p2pgan.rendezvous import Rendezvous, StatusSnapshot, open_rendezvous

DEADLINE_S = 120.0
"""For anything that should take seconds: long enough for a machine with other things to do."""
LOOK_EVERY_S = 0.1
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

Seen = TypeVar("Seen")


def until(look: Callable[[], Seen], what: str, seconds: float = DEADLINE_S) -> Seen:
    """The first true answer of ``look``, asked again and again."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(LOOK_EVERY_S)
    return seen


def environment(dsn: str) -> dict[str, str]:
    """The environment of a command that works at ``dsn``, on one thread."""
    return {**os.environ, "P2PGAN_RENDEZVOUS": dsn, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}


def start_command(dsn: str, *arguments: str) -> subprocess.Popen[str]:
    """A ``p2pgan`` command that begins to run."""
    return subprocess.Popen(
        [sys.executable, "-m", "p2pgan", *arguments],
        env=environment(dsn),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Swarm:
    """The peers of one run, by name. As a context manager it leaves no process behind."""

    def __init__(self, folder: Path, dsn: str, run: str) -> None:
        self.folder, self.dsn, self.run = folder, dsn, run
        self.database: Rendezvous = open_rendezvous(dsn)
        self.peers: dict[str, PeerProcess] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_all()
        self.database.close()

    # -- processes ---------------------------------------------------------------------------

    def create(self, settings: Nested | None = None) -> None:
        """Create the run as ``p2pgan lead`` does, so that all peers can start at the same time."""
        config = run_config(merge(SMALL, settings or {}))
        images = open_images(config.dataset, config.gan.model.resolution)
        trainer = Trainer(config.gan, images, "cpu")
        theta = trainer.theta()
        seed = Snapshot(trainer.layout, 0, "", 0, theta, theta[trainer.layout.slice_of("G")].clone())
        self.database.migrate()
        self.database.create_run(
            self.run,
            config.model_dump(mode="json"),
            {
                "count": images.fingerprint.count,
                "resolution": images.fingerprint.resolution,
                "digest": images.fingerprint.digest,
            },
            trainer.layout.schema_hash,
            config.unit_images,
            seed.manifest,
            [(name, seed.chunk(index)) for index, name in enumerate(seed.manifest.chunks)],
        )

    def start(
        self,
        *names: str,
        command: str = "join",
        arguments: Sequence[str] = (),
        launcher: Sequence[str] = (),
        dsn: str | None = None,
    ) -> list[PeerProcess]:
        """Start peers, with a login of their own if ``dsn`` says so, or start those again that have ended."""
        for name in names:
            known = self.peers.get(name)
            if known is None:
                known = self.peers[name] = self._new(
                    name, [*launcher, sys.executable, "-m", "p2pgan", command], arguments, dsn or self.dsn
                )
            assert not known.alive, f"{name} runs already"
            self._fail_file(known).unlink(missing_ok=True)
            known.start()
        return [self.peers[name] for name in names]

    def _new(self, name: str, command: Sequence[str], arguments: Sequence[str], dsn: str) -> PeerProcess:
        folder = self.folder / name
        return PeerProcess(
            name=name,
            folder=folder,
            command=[
                *(*command, "--run", self.run, "--name", name),
                *("--state-dir", str(folder / "state"), "--threads", "1"),
                *("--bind", "127.0.0.1", "--advertise", "127.0.0.1", *arguments),
            ],
            environment={**environment(dsn), VARIABLE: str(folder / "fail-at")},
        )

    def _fail_file(self, peer: PeerProcess) -> Path:
        return peer.folder / "fail-at"

    def arm(self, peer: PeerProcess, moment: Moment, sent: signal.Signals = signal.SIGKILL) -> None:
        """Have ``peer`` kill (or freeze) itself the next time it comes to this moment."""
        draft = peer.folder / "fail-at.draft"
        draft.write_text(f"{moment}:{sent.name}")
        peer.expected_end = sent is signal.SIGKILL
        draft.rename(self._fail_file(peer))

    def froze(self, peer: PeerProcess) -> None:
        """Wait until an armed peer is frozen; once it wakes up, it goes on where it was."""
        assert peer.process is not None
        state = Path(f"/proc/{peer.process.pid}/stat")
        self.until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", f"{peer.name} freezes")
        peer.frozen = True
        self._fail_file(peer).unlink()

    def died(self, peer: PeerProcess) -> float:
        """Wait for the death of an armed peer; the time, which this machine's Postgres shares."""
        assert peer.process is not None
        assert peer.wait(DEADLINE_S), f"{peer.name} did not come to the moment of its death"
        at = time.time()
        assert peer.process.returncode == -signal.SIGKILL, f"{peer.name}: {peer.last_words()}"
        return at

    def kill_all(self) -> None:
        """Kill every peer, as a power failure would: all at the same time."""
        for peer in self.peers.values():
            peer.expected_end = True
            peer.send(signal.SIGKILL)
        for peer in self.peers.values():
            peer.wait(None)

    def leave(self, *peers: PeerProcess) -> None:
        """Ctrl-C for ``peers``, all at the same time; each must end in order."""
        for peer in peers:
            peer.ask_to_leave()
        for peer in peers:
            assert peer.wait(DEADLINE_S), f"{peer.name} does not leave: {peer.last_words()}"
            assert peer.process is not None
            assert peer.process.returncode == 0, f"{peer.name}: {peer.last_words()}"

    def leave_all(self) -> None:
        """Ctrl-C for everyone, the leader last."""
        leader = self.leader()
        self.leave(*(p for p in self.peers.values() if p.alive and p is not leader))
        self.leave(*(p for p in self.peers.values() if p.alive))

    # -- what is seen ------------------------------------------------------------------------

    def until(self, look: Callable[[], Seen], what: str, seconds: float = DEADLINE_S) -> Seen:
        """The first true answer of ``look``; at once an error if a peer ends that nobody ended."""

        def looked() -> Seen:
            for peer in self.peers.values():
                assert not peer.died_unasked, f"{peer.name} ended: {peer.last_words()}"
            return look()

        try:
            return until(looked, what, seconds)
        except AssertionError as error:
            for name, peer in self.peers.items():
                lines = peer.log.read_text(errors="replace").splitlines() if peer.log.exists() else []
                error.add_note("\n".join([f"--- {name}, {peer.end}", *lines[-40:]]))
            raise

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
        """Wait until all of ``names`` contribute to one version from now on; the leader then."""
        before = self.committed

        def look() -> PeerProcess | None:
            fresh = [record for record in self.history() if record.version > before]
            known = self.names()
            newest = {known.get(c.peer) for c in fresh[-1].contributions} if fresh else set()
            return self.leader() if set(names) <= newest else None

        leader = self.until(look, f"{', '.join(names)} in one version")
        assert leader is not None
        return leader

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
        assert journal_problems(self.history(), journals) == []
