"""Carries out a scenario's faults at their times, and measures how long the run needs to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pgan.errors import ConfigError
from p2pgan.lab.fleet import Fleet, PeerProcess
from p2pgan.lab.scenario import FOLLOWER, LEADER, STOPPED, Action, Fault
from p2pgan.rendezvous import EmbeddedPostgres, StatusSnapshot


@dataclass
class FaultRecord:
    """A fault that happened, and what followed."""

    at_s: float
    """Seconds after the run was created."""
    what: str
    version: int | None = None
    """The committed version just after it happened; None while the database could not be asked."""
    term: int | None = None
    recovered_s: float | None = None
    """Seconds until the next version was committed; None if none was."""


class Injector:
    """The faults still to come, and those that were."""

    def __init__(self, faults: Sequence[Fault], fleet: Fleet, postgres: EmbeddedPostgres | None) -> None:
        self.records: list[FaultRecord] = []
        self._pending = list(faults)
        self._fleet = fleet
        self._postgres = postgres

    @property
    def pending(self) -> tuple[Fault, ...]:
        return tuple(self._pending)

    def inject_due(self, elapsed_s: float, status: StatusSnapshot) -> list[FaultRecord]:
        """Carries out what is due; a fault of the leader waits while there is none.

        ``status`` is the last one known: while the database is down it is an old one.
        """
        happened: list[FaultRecord] = []
        for fault in [f for f in self._pending if f.is_due(elapsed_s, status["committed_version"])]:
            targets = self._targets(fault, status)
            if targets is None:
                continue
            self._pending.remove(fault)
            self._carry_out(fault, targets)
            happened.append(
                FaultRecord(
                    at_s=round(elapsed_s, 1),
                    what=_describe(fault, targets),
                )
            )
        self.records += happened
        return happened

    def observe(self, elapsed_s: float, status: StatusSnapshot) -> None:
        """Notes for each fault what the database says after it, and when the next version came."""
        for record in self.records:
            if record.version is None:
                record.version, record.term = status["committed_version"], status["term"]
            elif record.recovered_s is None and status["committed_version"] > record.version:
                record.recovered_s = round(elapsed_s - record.at_s, 1)

    def restore_postgres(self) -> None:
        """Starts the embedded database again if a scenario's fault left it stopped."""
        if self._postgres is not None:
            self._postgres.start()

    def _targets(self, fault: Fault, status: StatusSnapshot) -> list[PeerProcess] | None:
        """The processes that ``fault`` befalls; None if there is no such one now."""
        running = [peer for peer in self._fleet.peers.values() if peer.alive]
        if fault.do is Action.CONTINUE and fault.target in {None, STOPPED}:
            return [peer for peer in running if peer.frozen]
        if fault.target is None or fault.do is Action.JOIN:
            return []
        names = {peer["id"]: peer["name"] for peer in status["peers"]}
        leader = names.get(status["leader"] or "")
        if fault.target == LEADER:
            found = [peer for peer in running if peer.name == leader]
        elif fault.target == FOLLOWER:
            found = [peer for peer in running if leader is not None and peer.name != leader][:1]
        else:
            found = [peer for peer in running if peer.name == fault.target]
        return found or None

    def _carry_out(self, fault: Fault, targets: Sequence[PeerProcess]) -> None:
        match fault.do:
            case Action.KILL:
                for peer in targets:
                    peer.kill()
            case Action.STOP:
                for peer in targets:
                    peer.freeze()
            case Action.CONTINUE:
                for peer in targets:
                    peer.wake()
            case Action.LEAVE:
                for peer in targets:
                    peer.ask_to_leave()
            case Action.JOIN:
                self._fleet.join(fault.target or "")
            case Action.RESTART_ALL:
                self._fleet.restart_all()
            case Action.STOP_POSTGRES:
                self._database().crash()
            case Action.START_POSTGRES:
                self._database().start()

    def _database(self) -> EmbeddedPostgres:
        if self._postgres is None:
            raise ConfigError("this scenario stops Postgres, which a lab can do only with its embedded one")
        return self._postgres


def _describe(fault: Fault, targets: Sequence[PeerProcess]) -> str:
    names = ", ".join(peer.name for peer in targets)
    if not names or names == fault.target:
        return str(fault)
    return f"{fault.do} {fault.target or STOPPED} ({names})"
