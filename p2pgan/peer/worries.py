"""What a peer says when it waits for longer than it should, once each time."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.errors import Trouble, more_about
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.messages import Phase
from p2pgan.protocol.texts import counted

IDLE_S = 60.0
"""Without work: many rounds, and longer than a late joiner waits for its first."""
UNHEARD_S = 20.0
"""Without a word of anyone who should be here."""


class Worries:
    """Looks at the state machine now and then, and decides nothing."""

    def __init__(self, machine: Machine, say: Callable[[str, str], None]) -> None:
        self._machine, self._say = machine, say
        self._since: dict[Trouble, float] = {}
        self._said: set[Trouble] = set()

    def look(self, now: float) -> None:
        """Say what has been wrong for too long at ``now``, seconds on a monotonic clock."""
        core = self._machine.core
        here = sum(not view.info.gone for view in core.peers.values())
        lonely = here > 0 and not core.alive()
        idle = core.trains and core.has_weights and self._machine.member.standing()[2] is Phase.IDLE
        self._worry(
            Trouble.FIREWALL,
            now,
            UNHEARD_S if lonely else None,
            "network",
            f"{counted(here, 'other peer')} should be here and none is heard: "
            "is there a firewall, or an address that others cannot reach?",
        )
        self._worry(
            Trouble.NO_WORK,
            now,
            IDLE_S if idle and not lonely else None,
            "training",
            f"no open work for this peer for {IDLE_S:.0f} s: it waits for the next plan",
        )

    def _worry(self, trouble: Trouble, now: float, after_s: float | None, kind: str, text: str) -> None:
        if after_s is None:
            self._since.pop(trouble, None)
            self._said.discard(trouble)
        elif now - self._since.setdefault(trouble, now) >= after_s and trouble not in self._said:
            self._said.add(trouble)
            self._say(kind, more_about(text, trouble))
