"""One lab while it runs: starts the peers, lets the faults happen, watches, and ends everything."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import yaml

from p2pgan.errors import P2pganError, RendezvousUnavailable, RunError
from p2pgan.gan.output import disk_is_full
from p2pgan.lab.faults import Injector
from p2pgan.lab.fleet import Fleet
from p2pgan.lab.process import PeerProcess
from p2pgan.lab.scenario import Scenario
from p2pgan.lab.view import View
from p2pgan.rendezvous import Rendezvous, StatusSnapshot

LOOK_EVERY_S = 0.25
START_S = 900.0
"""How long a peer may take until it takes part: it reads and digests the images first."""
MUST_COUNT_S = 60.0
"""A peer that trained for so long has failed if no image of its is in committed weights."""
STALL_S = 120.0
"""A run that makes no version for so long has failed."""
LEAST_FREE_BYTES = 2**24
"""Postgres ends when the disk has no room for the next segment of its log."""


@dataclass(frozen=True, kw_only=True)
class LabOptions:
    """What a lab needs besides its scenario."""

    scenario: Scenario
    out: Path
    """Folder of everything the lab leaves; made, and refused if it holds anything."""
    rendezvous: str | None
    """A DSN; None for an embedded Postgres in ``out``."""
    run: str
    dataset: str
    requested: Mapping[str, object]
    """What was said about the run's configuration: what a file for ``p2pgan lead --config`` holds."""
    command: str
    """How the lab was called, for the report."""
    page: Callable[[str], AbstractContextManager[str]] | None = None
    """Shows a rendezvous live as long as it is entered; given the DSN, it gives the address."""


class Lab:
    """One lab while it runs."""

    def __init__(
        self, options: LabOptions, fleet: Fleet, database: Rendezvous, injector: Injector, view: View
    ) -> None:
        self.options = options
        self.fleet = fleet
        self.database = database
        self.injector = injector
        self.view = view
        self.run_id = 0
        self.failures: list[str] = []
        self.began_at = 0.0
        """When the run was created, in seconds since 1970."""
        self.interrupted = False
        """Whether it was asked to end before its time."""
        self.full_members: list[str] = []
        """Peers that were there to the end, and long enough that images of theirs must have counted."""
        self.trained_s = 0.0
        """From the run's creation until the last peer had left."""
        self._began = time.monotonic()
        self._created = self._progressed = 0.0
        """When the run was created, and when a new version was last seen, by the monotonic clock."""
        self._arrivals: dict[str, float | None] = {}

    @property
    def elapsed_s(self) -> float:
        """Seconds since the lab's time began: its start, and once all first peers take part, that moment."""
        return time.monotonic() - self._began

    def start(self) -> None:
        """Starts the first peer, and the others once it has created the run."""
        self.view.note(self.elapsed_s, "the first peer starts, which takes some seconds")
        config = self.options.out / "run.yaml"
        config.write_text(yaml.safe_dump(dict(self.options.requested)), encoding="utf-8")
        first = self.fleet.lead("peer-1", ["--config", str(config)])
        self.database.migrate()
        while True:
            try:
                self.run_id = self.database.find_run(self.options.run).id
                break
            except RunError:
                if not first.alive:
                    reason = f"the first peer ended: {first.last_words()} (log: {first.log})"
                    raise P2pganError(reason) from None
                if self.elapsed_s > START_S:
                    raise P2pganError(f"no run after {START_S:.0f} s; see {first.log}") from None
            self._check_disk()
            time.sleep(LOOK_EVERY_S)
        self._created = self._progressed = time.monotonic()
        self.began_at = time.time()
        for number in range(2, self.options.scenario.peers + 1):
            self.fleet.join(f"peer-{number}")
        others = [name for name in self.fleet.peers if name != first.name]
        also = f"; {', '.join(others)} {'start' if len(others) > 1 else 'starts'}" if others else ""
        self.view.note(self.elapsed_s, f"{first.name} has created the run {self.options.run}{also}")

    def gather(self, stopping: Callable[[], bool]) -> None:
        """Watches until the first peers all take part, something failed, or ``stopping``.

        Only then does the lab's time begin: that of ``minutes`` and of the faults' ``at_s``.
        """
        status = self.database.status(self.run_id)
        while self._starting() and not self.failures:
            if stopping():
                self.interrupted = True
                return
            status = self._look(status)
            self.view.show(self.elapsed_s, 0.0, status, self._starting_names())
            self._check()
        if not self.failures:
            self._began = time.monotonic()
            self.view.note(0, "all peers of the start take part: the lab's time begins")

    def watch(self, stopping: Callable[[], bool]) -> None:
        """Watches until the goal is reached, something failed that no scenario asked for, or ``stopping``.

        A peer that is still starting when the time is up takes part before the lab ends.
        """
        status = self.database.status(self.run_id)
        while not (self.failures or self.interrupted) and (self._done(status) < 1 or self._starting()):
            if stopping():
                self.interrupted = True
                return
            for text in self.injector.step(self.elapsed_s, status):
                self.view.note(self.elapsed_s, text)
            now = self._look(status)
            if now is not status:
                status = now
                self.injector.observe(self.elapsed_s, status)
            self.view.show(self.elapsed_s, self._done(status), status, self._starting_names())
            self._check()

    def end(self) -> None:
        """Lets the peers leave, the leader last so that it commits what all have done."""
        if self.interrupted:
            self.view.note(self.elapsed_s, "interrupted: the peers leave in order; Ctrl-C again kills them")
        else:
            self.view.note(self.elapsed_s, "the peers leave")
            if self.injector.pending:
                self.failures.append(f"the lab ended before: {', '.join(map(str, self.injector.pending))}")
        self.injector.surroundings.restore()
        self.full_members = [
            peer.name
            for peer in self.fleet.peers.values()
            if peer.alive and peer.took_part_s and time.monotonic() - peer.took_part_s >= MUST_COUNT_S
        ]
        status = self.database.status(self.run_id)
        leaders = {peer["name"] for peer in status["peers"] if peer["id"] == status["leader"]}
        everyone = list(self.fleet.peers.values())
        followers = [peer for peer in everyone if peer.name not in leaders]
        for group in (followers, [peer for peer in everyone if peer.name in leaders]):
            stuck = self.fleet.leave(group)
            self.failures += [f"{peer.name} did not leave and was killed; see {peer.log}" for peer in stuck]
        self.trained_s = time.monotonic() - self._created
        if not self.interrupted and self.database.status(self.run_id)["committed_version"] == 0:
            self.failures.append("no version was ever committed")

    def draw(self, path: Path) -> None:
        """Has the command ``generate`` draw a grid from the last committed weights."""
        drawn = subprocess.run(
            [
                *(sys.executable, "-m", "p2pgan", "generate", "--run", self.options.run),
                *("-n", "64", "--seed", "1", "--out", str(path)),
            ],
            env=self.fleet.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if drawn.returncode != 0:
            self.failures.append(f"no picture: {drawn.stderr.strip()}")

    def _look(self, last: StatusSnapshot) -> StatusSnapshot:
        """The status a moment later; ``last`` itself while the database cannot be reached."""
        time.sleep(LOOK_EVERY_S)
        self._check_disk()
        self._tell_arrivals()
        try:
            now = self.database.status(self.run_id)
        except RendezvousUnavailable:
            # A scenario may have stopped it; if none did, the lack of versions ends the lab.
            return last
        if now["committed_version"] > last["committed_version"]:
            self._progressed = time.monotonic()
        return now

    def _check_disk(self) -> None:
        """Raises P2pganError before Postgres, peers and logs fail one by one for want of space."""
        if shutil.disk_usage(self.options.out).free < LEAST_FREE_BYTES:
            raise disk_is_full(self.options.out)

    def _tell_arrivals(self) -> None:
        for peer in self.fleet.peers.values():
            if peer.alive and peer.takes_part() and self._arrivals.get(peer.name) != peer.took_part_s:
                self._arrivals[peer.name] = peer.took_part_s
                self.view.note(self.elapsed_s, f"{peer.name} takes part")

    def _done(self, status: StatusSnapshot) -> float:
        scenario = self.options.scenario
        if scenario.until_recovered and self.injector.recovered(status):
            return 1.0
        shares = []
        if scenario.minutes is not None:
            shares.append(self.elapsed_s / (60 * scenario.minutes))
        if scenario.versions is not None:
            shares.append(status["committed_version"] / scenario.versions)
        return max(shares)

    def _starting(self) -> list[PeerProcess]:
        """Peers that do not take part yet."""
        return [
            peer
            for peer in self.fleet.peers.values()
            if peer.alive and not peer.frozen and not peer.takes_part()
        ]

    def _starting_names(self) -> list[str]:
        return [peer.name for peer in self._starting()]

    def _check(self) -> None:
        self.failures += [
            f"{peer.name} ended unasked: {peer.last_words()}"
            for peer in self.fleet.peers.values()
            if peer.died_unasked
        ]
        self.failures += [
            f"{peer.name} did not take part within {START_S:.0f} s; see {peer.log}"
            for peer in self._starting()
            if time.monotonic() - peer.started_s > START_S
        ]
        if time.monotonic() - self._progressed > STALL_S:
            self.failures.append(f"no version was committed for {STALL_S:.0f} s")
