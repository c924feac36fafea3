"""What the faults of a lab can move, and how each is carried out and undone."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from p2pgan.errors import ConfigError
from p2pgan.lab.disks import SmallDisks
from p2pgan.lab.fault import Action, Fault
from p2pgan.lab.fleet import Fleet
from p2pgan.lab.network import DATABASE, LabNetwork
from p2pgan.lab.process import PeerProcess
from p2pgan.lab.proxy import Condition
from p2pgan.rendezvous import EmbeddedPostgres


@dataclass
class Surroundings:
    """A lab's processes, database, network and disks; what a scenario does not move is None."""

    fleet: Fleet
    postgres: EmbeddedPostgres | None = None
    network: LabNetwork | None = None
    disks: SmallDisks | None = None

    def arm(self, fault: Fault, targets: Sequence[PeerProcess]) -> None:
        """The targets will do it to themselves, once they come to the fault's point."""
        assert fault.point is not None
        for peer in targets:
            peer.arm(fault.point, signal.SIGKILL if fault.do is Action.KILL else signal.SIGSTOP)

    def inflict(self, fault: Fault, targets: Sequence[PeerProcess]) -> None:
        """Let it happen.

        Raises:
            ConfigError: this lab cannot do that.
        """
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
                self.fleet.join(fault.target or "")
            case Action.RESTART_ALL:
                self.fleet.restart_all()
            case Action.STOP_POSTGRES:
                self._database().crash()
            case Action.START_POSTGRES:
                self._database().start()
            case Action.TERMINATE_BACKENDS:
                self._database().end_connections()
            case Action.CUT:
                self._set(fault, targets, Condition(cut=True))
            case Action.SLOW:
                self._set(fault, targets, Condition(delay_s=fault.delay_s, bytes_per_s=fault.bytes_per_s))
            case Action.CORRUPT:
                self._set(fault, targets, Condition(corrupt_every=fault.every_bytes))
            case Action.POISON:
                for peer in targets:
                    peer.poison()
            case Action.FILL_DISK:
                for peer in targets:
                    self._disks().fill(peer.state_dir)
            case Action.LOCK_DISK:
                for peer in targets:
                    peer.kill()
                    self._disks().lock(peer.state_dir)
                    peer.start()
                    peer.expected_end = True  # it cannot take part, and should say so

    def undo(self, fault: Fault, targets: Sequence[PeerProcess]) -> None:
        """As if it had not happened."""
        match fault.do:
            case Action.KILL:
                for peer in targets:
                    peer.start()
            case Action.STOP:
                for peer in targets:
                    peer.wake()
            case Action.POISON:
                for peer in targets:
                    peer.cure()
            case Action.STOP_POSTGRES:
                self._database().start()
            case Action.FILL_DISK:
                for peer in targets:
                    self._disks().empty(peer.state_dir)
                    if not peer.alive:
                        peer.start()
            case Action.LOCK_DISK:
                for peer in targets:
                    peer.kill()
                    self._disks().unlock(peer.state_dir)
                    peer.start()
            case _:
                self._set(fault, targets, Condition())

    def restore(self) -> None:
        """Whatever is still in force ends, so that the peers can leave."""
        if self.postgres is not None:
            self.postgres.start()
        if self.network is not None:
            self.network.mend()

    def _set(self, fault: Fault, targets: Sequence[PeerProcess], condition: Condition) -> None:
        if self.network is None:
            raise ConfigError(f"this lab has no network in which to {fault.do}")
        inside = {peer.name for peer in targets}
        outside = set() if fault.links == "database" else self.fleet.peers.keys() - inside
        if outside:
            self.network.set(inside, outside, condition, both_ways=not fault.one_way)
        if fault.links != "peers":
            self.network.set(inside, [DATABASE], condition, both_ways=False)

    def _database(self) -> EmbeddedPostgres:
        if self.postgres is None:
            raise ConfigError("this scenario stops Postgres, which a lab can do only with its embedded one")
        return self.postgres

    def _disks(self) -> SmallDisks:
        if self.disks is None:
            raise ConfigError("this lab has no disks of its own")
        return self.disks
