"""Calls about who takes part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from p2pgan.errors import ConfigError, InternalError, RunError
from p2pgan.protocol.ids import PeerId
from p2pgan.rendezvous.calls import Calls
from p2pgan.rendezvous.rows import PeerList, PeerRegistration, PeerRow, PeerStat, PeerState


class PeerCalls(Calls):
    """Registering, listing and reporting peers."""

    def register_peer(self, run_id: int, registration: PeerRegistration) -> int:
        """Enter a peer as ``joining``, or update its entry when it comes back.

        Returns:
            The generation of the table of peers after it.

        Raises:
            RunError: the run does not exist or has finished.
            ConfigError: a process elsewhere takes part under this identity.
            RendezvousRefused: the peer was registered by another login.
        """
        with self._line.transaction() as session:
            answer = session.value("register_peer", {"run_id": run_id, **asdict(registration)})
            if answer == "in use":
                raise ConfigError(
                    f"another process takes part as {registration.id[:8]}, with a copy of this peer's key: "
                    "give this one its own --name or --state-dir, or end the other and try again in 15 s"
                )
            if answer != "registered":
                raise RunError("the run does not exist or has finished: nobody can join it")
            return cast(int, session.value("read_generation", {"run_id": run_id}))

    def set_peer_state(self, run_id: int, peer: PeerId, state: PeerState) -> None:
        """Enter what a peer says about itself: ``active`` once it takes part, ``left`` when it leaves."""
        with self._line.call() as session:
            if session.run("set_peer_state", {"run_id": run_id, "id": peer, "state": state}) == 0:
                raise InternalError(f"peer {peer} is not registered in this run")

    def list_peers(self, run_id: int) -> PeerList:
        """Everyone who ever registered, those present first, with the table's generation."""
        with self._line.call() as session:
            rows = session.rows("list_peers", {"run_id": run_id}, dict_row)
        if not rows:
            raise RunError("the run does not exist")
        generation = [row.pop("peers_generation") for row in rows][0]
        # A run without peers still gives one row, with its generation and nothing else.
        return PeerList(generation, tuple(PeerRow(**row) for row in rows if row["id"] is not None))

    def roll_up(
        self,
        run_id: int,
        peer: PeerId,
        term: int,
        stats: Sequence[PeerStat],
    ) -> bool:
        """Write everyone's state, speed and last sign, as the leader.

        A peer that left stays so until it registers again.

        Returns:
            False, and nothing is written, if ``peer`` does not hold the pen in this term.
        """
        parameters = {
            "run_id": run_id,
            "peer": peer,
            "term": term,
            "stats": Jsonb([asdict(stat) for stat in stats]),
        }
        with self._line.call() as session:
            return cast(bool, session.value("roll_up", parameters))
