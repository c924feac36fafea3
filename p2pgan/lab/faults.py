"""Has a scenario's faults happen when they are due, undoes them, and measures how the run goes on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from p2pgan.lab.fault import Action, Fault, Role
from p2pgan.lab.process import PeerProcess
from p2pgan.lab.surroundings import Surroundings
from p2pgan.rendezvous import StatusSnapshot


@dataclass
class FaultRecord:
    """A fault that happened, and what followed."""

    at_s: float
    """Seconds after the lab's time began: since all first peers took part."""
    what: str
    version: int
    """The committed version that was known when it happened."""
    term: int
    recovered_s: float | None = None
    """Seconds until the next version was committed; None if none was."""
    pause_s: float | None = None
    """The longest time between two versions around it, known once the lab is over."""


@dataclass
class Course:
    """One fault of the scenario on its way through the lab.

    ``waiting -> (armed ->) in force -> undone -> recovered -> waiting`` for the next time, or over.
    """

    fault: Fault
    times: int = 0
    """How often it has begun."""
    targets: Sequence[PeerProcess] = ()
    armed: bool = False
    undo_at: float | None = None
    record: FaultRecord | None = None

    @property
    def over(self) -> bool:
        return self.times == self.fault.repeat and not self.armed and self.undo_at is None


@dataclass
class Injector:
    """The faults of a scenario. ``seed`` draws random targets."""

    faults: Sequence[Fault]
    surroundings: Surroundings
    seed: int = 1
    records: list[FaultRecord] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._courses = [Course(fault) for fault in self.faults]
        self._random = random.Random(self.seed)
        self._recovered_by = 0
        """The version that showed that the run had recovered from its last fault."""

    @property
    def pending(self) -> tuple[Fault, ...]:
        """Those that have not happened as often as they should, or are still in force."""
        return tuple(course.fault for course in self._courses if not course.over)

    def recovered(self, status: StatusSnapshot) -> bool:
        """Everything that should happen has happened and is over, the run goes on, with everyone in it."""
        return not self.pending and (not self.records or self._is_calm(status))

    def step(self, elapsed_s: float, status: StatusSnapshot) -> list[str]:
        """Everything that is due now; says what happened.

        ``status`` is the last one known: while the database is down it is an old one.
        """
        said: list[str] = []
        for course in self._courses:
            if course.armed and all(peer.died_or_frozen for peer in course.targets):
                said.append(self._happened(course, elapsed_s, status))
            if course.undo_at is not None and elapsed_s >= course.undo_at:
                course.undo_at = None
                self.surroundings.undo(course.fault, course.targets)
                said.append(f"over: {_describe(course.fault, course.targets)}")
            if self._is_due(course, elapsed_s, status):
                said += self._begin(course, elapsed_s, status)
        return said

    def observe(self, elapsed_s: float, status: StatusSnapshot) -> None:
        """Notes when the first version after each fault was committed."""
        committed_at = elapsed_s - status["last_commit_age_s"]
        for record in self.records:
            fresh = status["committed_version"] > record.version and committed_at > record.at_s
            if record.recovered_s is None and fresh:
                record.recovered_s = round(committed_at - record.at_s, 1)
                self._recovered_by = status["committed_version"]

    def _is_due(self, course: Course, elapsed_s: float, status: StatusSnapshot) -> bool:
        fault = course.fault
        if course.times == fault.repeat or course.armed or course.undo_at is not None:
            return False
        if course.times and fault.every_s is not None:
            assert course.record is not None
            return elapsed_s >= course.record.at_s + fault.every_s
        if not course.times and not fault.is_due(elapsed_s, status["committed_version"]):
            return False
        return fault.at_s is not None and not course.times or self._is_calm(status)

    def _is_calm(self, status: StatusSnapshot) -> bool:
        """Nothing is in force, two versions were committed since, and everyone takes part."""
        if any(course.armed or course.undo_at is not None for course in self._courses):
            return False
        if any(record.recovered_s is None for record in self.records):
            return False
        return status["committed_version"] > self._recovered_by and self._everyone_takes_part(status)

    def _everyone_takes_part(self, status: StatusSnapshot) -> bool:
        """All running processes are active peers on weights not older than the committed ones."""
        current = {
            peer["name"]
            for peer in status["peers"]
            if peer["state"] == "active" and peer["version"] >= status["committed_version"]
        }
        running = (peer for peer in self.surroundings.fleet.peers.values() if peer.alive)
        return all(peer.name in current for peer in running)

    def _begin(self, course: Course, elapsed_s: float, status: StatusSnapshot) -> list[str]:
        targets = self._targets(course.fault, status)
        if targets is None:
            return []  # a fault of the leader waits while there is none
        course.times += 1
        course.targets = targets
        if course.fault.point is not None:
            self.surroundings.arm(course.fault, targets)
            course.armed = True
            return []
        self.surroundings.inflict(course.fault, targets)
        return [self._happened(course, elapsed_s, status)]

    def _happened(self, course: Course, elapsed_s: float, status: StatusSnapshot) -> str:
        fault = course.fault
        what = _describe(fault, course.targets)
        course.armed = False
        course.undo_at = elapsed_s + fault.for_s if fault.for_s is not None else None
        course.record = FaultRecord(round(elapsed_s, 1), what, status["committed_version"], status["term"])
        self.records.append(course.record)
        return what

    def _targets(self, fault: Fault, status: StatusSnapshot) -> list[PeerProcess] | None:
        """The processes that ``fault`` befalls; None if there is no such one now."""
        running = [peer for peer in self.surroundings.fleet.peers.values() if peer.alive]
        if fault.do is Action.CONTINUE and fault.target in {None, Role.STOPPED}:
            return [peer for peer in running if peer.frozen]
        if fault.target is None or fault.do is Action.JOIN:
            return []
        names = {peer["id"]: peer["name"] for peer in status["peers"]}
        leader = names.get(status["leader"] or "")
        match fault.target:
            case Role.LEADER:
                found = [peer for peer in running if peer.name == leader]
            case Role.FOLLOWER:
                found = [peer for peer in running if leader is not None and peer.name != leader][:1]
            case Role.RANDOM:
                found = self._random.sample(running, 1) if running else []
            case Role.HALF:
                found = self._random.sample(running, len(running) // 2)
            case name:
                found = [peer for peer in running if peer.name == name]
        return found or None


def _describe(fault: Fault, targets: Sequence[PeerProcess]) -> str:
    names = ", ".join(peer.name for peer in targets)
    return str(fault) if not names or names == fault.target else f"{fault} ({names})"
