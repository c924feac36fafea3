"""What a peer says when it waits for longer than it should, once each time."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.errors import Trouble, more_about
from p2pgan.peer.wall import Wall
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.messages import Phase
from p2pgan.protocol.texts import counted

IDLE_S = 60.0
"""Without work: many rounds, and longer than a late joiner waits for its first."""
UNHEARD_S = 20.0
"""Without a word of anyone who should be here, or without a way to somebody who is heard."""


class Worries:
    """Looks at the state machine now and then, and decides nothing."""

    def __init__(self, machine: Machine, address: str, wall: Wall, say: Callable[[str, str], None]) -> None:
        """``address`` is what others are told to dial."""
        self._machine, self._address, self._wall, self._say = machine, address, wall, say
        self._since: dict[str, float] = {}
        """Since when each worry lasts that does."""
        self._said: set[str] = set()

    def look(self, now: float) -> None:
        """Say what has been wrong for too long at ``now``, seconds on a monotonic clock."""
        core = self._machine.core
        lonely = bool(self._wall.others()) and not core.alive()
        idle = core.trains and core.has_weights and self._machine.member.standing()[2] is Phase.IDLE
        worries = {
            **({"unheard": UNHEARD_S} if lonely else {}),
            **({"idle": IDLE_S} if idle and not lonely else {}),
            **dict.fromkeys(self._out_of_reach(), UNHEARD_S),
        }
        self._since = {what: self._since.get(what, now) for what in worries}
        self._said &= worries.keys()
        for what, patience_s in worries.items():
            if what not in self._said and now - self._since[what] >= patience_s:
                self._said.add(what)
                self._tell(what)

    def _out_of_reach(self) -> set[PeerId]:
        """Whom a leader hears and cannot dial: they get no work, and the leader's word is read by most."""
        core = self._machine.core
        return set(core.alive()) & self._wall.others() - self._wall.dialled() if core.leads else set()

    def _tell(self, what: str) -> None:
        if what == "idle":
            text = f"no open work for this peer for {IDLE_S:.0f} s: it waits for the next plan"
            self._say("training", more_about(text, Trouble.NO_WORK))
        else:
            text = self._unheard() if what == "unheard" else self._undialled(what)
            self._say("network", more_about(text, Trouble.FIREWALL))

    def _unheard(self) -> str:
        here, dialled = counted(len(self._wall.others()), "other peer"), len(self._wall.dialled())
        if self._machine.core.walled:
            return (
                f"nobody can dial this peer at {self._address}, though it dials {dialled} of {here}: open or "
                "forward that port and the next one, or --advertise a VPN's or a tunnel's address"
            )
        if dialled:
            return f"{here} should be here and none is heard: has the network broken, or have they stopped?"
        return (
            f"{here} should be here, none can be dialled and none is heard: "
            "is there a firewall, or a network that keeps its guests apart?"
        )

    def _undialled(self, peer: PeerId) -> str:
        name = self._machine.core.name(peer)
        return f"{name} is heard, but cannot be dialled at its address: until it can be, it gets no work"
