"""One thing that can befall a lab: what, whom, when, for how long and how often."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from p2pgan.failpoints import Moment


class Role(StrEnum):
    """What a target may be besides a peer's name."""

    LEADER = "leader"
    FOLLOWER = "follower"
    STOPPED = "stopped"
    """Everyone who is frozen."""
    RANDOM = "random"
    HALF = "half"
    """Half of the running peers, drawn at random."""


ROLES = frozenset(map(str, Role))


class Action(StrEnum):
    """What can befall a lab."""

    KILL = "kill"
    """SIGKILL: a crash of the target."""
    STOP = "stop"
    """SIGSTOP: the target freezes."""
    CONTINUE = "continue"
    """SIGCONT: the target, or everyone who is frozen, wakes up."""
    JOIN = "join"
    """A new peer with the target's name, or the same one again, joins."""
    LEAVE = "leave"
    """Ctrl-C: the target leaves cleanly."""
    RESTART_ALL = "restart-all"
    """Every peer is killed at once, and started again."""
    STOP_POSTGRES = "stop-postgres"
    """The embedded database stops as in a crash."""
    START_POSTGRES = "start-postgres"
    """The embedded database starts again."""
    TERMINATE_BACKENDS = "terminate-backends"
    """The database ends every connection that it has."""
    CUT = "cut"
    """Nothing passes between the target and others."""
    SLOW = "slow"
    """Little passes, and late."""
    CORRUPT = "corrupt"
    """Bits flip on the way."""
    POISON = "poison"
    """The target sends the opposite of what it learned, ten times as strong."""
    FILL_DISK = "fill-disk"
    """No byte more fits on the disk of the target's state folder."""
    LOCK_DISK = "lock-disk"
    """The target is killed and started again, and its state folder can only be read."""


NEEDS_TARGET = frozenset(Action) - {
    Action.CONTINUE,
    Action.RESTART_ALL,
    Action.STOP_POSTGRES,
    Action.START_POSTGRES,
    Action.TERMINATE_BACKENDS,
}
TAKES_TARGET = NEEDS_TARGET | {Action.CONTINUE}
POSTGRES = frozenset({Action.STOP_POSTGRES, Action.START_POSTGRES})
DISKS = frozenset({Action.FILL_DISK, Action.LOCK_DISK})
NETWORK = frozenset({Action.CUT, Action.SLOW, Action.CORRUPT})
LASTING = NETWORK | DISKS | {Action.KILL, Action.STOP, Action.POISON, Action.STOP_POSTGRES}
"""What ``for_s`` can undo."""


class Fault(BaseModel):
    """One thing that happens, at a time or at a version, once or again and again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: Action
    target: str | None = Field(
        None, description="leader, follower, stopped, random, half, or a peer's name such as peer-2"
    )
    at_s: float | None = Field(None, ge=0, description="seconds since all first peers took part")
    at_version: int | None = Field(
        None,
        ge=0,
        description="once this version is committed, nothing else is in force and everyone takes part",
    )
    point: Moment | None = Field(None, description="kill or stop when the target comes to this moment")
    for_s: float | None = Field(None, gt=0, description="undone after so long: restarted, woken up, mended")
    repeat: int = Field(1, ge=1, description="how often; again once the run is calm")
    every_s: float | None = Field(None, gt=0, description="again at this pace, calm or not")
    links: Literal["peers", "database", "all"] = Field(
        "peers", description="cut, slow, corrupt: the target's links to these"
    )
    one_way: bool = Field(False, description="cut, slow, corrupt: only what the target sends")
    delay_s: float = Field(0.0, ge=0, le=60, description="slow: added to each way")
    bytes_per_s: float | None = Field(None, gt=0, description="slow: bandwidth of each connection")
    every_bytes: int = Field(100_000, ge=1, description="corrupt: one bit in so many bytes")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.at_s is None) == (self.at_version is None):
            raise ValueError("a fault has either at_s or at_version")
        if self.do in NEEDS_TARGET and self.target is None:
            raise ValueError(f"{self.do} needs a target: leader, follower or a peer's name")
        if self.target is not None and self.do not in TAKES_TARGET:
            raise ValueError(f"{self.do} takes no target")
        if self.do is Action.JOIN and self.target in ROLES:
            raise ValueError("join needs a peer's name, such as peer-4")
        if self.point is not None and self.do not in {Action.KILL, Action.STOP}:
            raise ValueError(f"{self.do} happens at no point of the protocol; kill and stop do")
        if self.for_s is not None and self.do not in LASTING:
            raise ValueError(f"{self.do} cannot be undone, so for_s says nothing")
        if self.repeat > 1 and self.do in LASTING and self.for_s is None:
            raise ValueError(f"{self.do} is repeated, so for_s must say when it is undone")
        return self

    def is_due(self, elapsed_s: float, committed_version: int) -> bool:
        """Whether the first time has come."""
        if self.at_s is not None:
            return elapsed_s >= self.at_s
        return self.at_version is not None and committed_version >= self.at_version

    @property
    def lasts_s(self) -> float:
        """The least time from its first beginning to its last end."""
        once = self.for_s or 0.0
        return (self.repeat - 1) * max(once, self.every_s or 0.0) + once

    @property
    def when(self) -> str:
        """In words: its beginning, how long it lasts and how often."""
        begins = f"at {self.at_s:g} s" if self.at_s is not None else f"at version {self.at_version}"
        lasts = f", for {self.for_s:g} s" if self.for_s is not None else ""
        again = f", {self.repeat} times" if self.repeat > 1 else ""
        return f"{begins}{lasts}{again}"

    def __str__(self) -> str:
        words = [str(self.do)]
        if self.target is not None:
            words.append(self.target)
        if self.point is not None:
            words.append(f"at {self.point}")
        if self.do in NETWORK and self.links == "database":
            words.append("from the database")
        if self.do in NETWORK and self.one_way:
            words.append("one way")
        return " ".join(words)
