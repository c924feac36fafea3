"""A scenario: how many peers, how long, and which faults befall them when."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from p2pgan.errors import ConfigError

LEADER = "leader"
FOLLOWER = "follower"
STOPPED = "stopped"


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


NEEDS_TARGET = frozenset({Action.KILL, Action.STOP, Action.JOIN, Action.LEAVE})
TAKES_TARGET = NEEDS_TARGET | {Action.CONTINUE}
POSTGRES = frozenset({Action.STOP_POSTGRES, Action.START_POSTGRES})


class Fault(BaseModel):
    """One thing that happens, at a time or at a version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: Action
    target: str | None = Field(None, description="leader, follower, stopped, or a peer's name such as peer-2")
    at_s: float | None = Field(None, ge=0, description="seconds after the run was created")
    at_version: int | None = Field(None, ge=0, description="as soon as this version is committed")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.at_s is None) == (self.at_version is None):
            raise ValueError("a fault has either at_s or at_version")
        if self.do in NEEDS_TARGET and self.target is None:
            raise ValueError(f"{self.do} needs a target: leader, follower or a peer's name")
        if self.target is not None and self.do not in TAKES_TARGET:
            raise ValueError(f"{self.do} takes no target")
        if self.do is Action.JOIN and self.target in {LEADER, FOLLOWER, STOPPED}:
            raise ValueError("join needs a peer's name, such as peer-4")
        return self

    def is_due(self, elapsed_s: float, committed_version: int) -> bool:
        if self.at_s is not None:
            return elapsed_s >= self.at_s
        return self.at_version is not None and committed_version >= self.at_version

    def __str__(self) -> str:
        return f"{self.do} {self.target}" if self.target else str(self.do)


class Scenario(BaseModel):
    """What a lab does. A flag of ``p2pgan lab`` takes precedence over a scenario's value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    about: str = ""
    peers: int = Field(3, ge=1, le=64, description="peers at the start")
    minutes: float | None = Field(None, gt=0, allow_inf_nan=False, description="how long to train")
    versions: int | None = Field(None, ge=1, description="train until this version is committed")
    faults: tuple[Fault, ...] = ()

    @model_validator(mode="after")
    def _targets_exist(self) -> Self:
        names = {LEADER, FOLLOWER, STOPPED, *(f"peer-{number}" for number in range(1, self.peers + 1))}
        names |= {fault.target for fault in self.faults if fault.do is Action.JOIN and fault.target}
        for fault in self.faults:
            if fault.target is not None and fault.target not in names:
                raise ValueError(f"'{fault}' is about a peer that never joins")
        return self

    @property
    def moves_postgres(self) -> bool:
        return any(fault.do in POSTGRES for fault in self.faults)


def parse_scenario(values: object, source: str = "the scenario") -> Scenario:
    """A scenario from plain values. Raises ConfigError if they say what no scenario can."""
    try:
        return Scenario.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{source} is not valid: {f'{where}: ' if where else ''}{reason}") from error


def read_scenario(path: Path) -> Scenario:
    """Reads a scenario file. Raises ConfigError if it is missing, not YAML, or not a scenario."""
    try:
        values: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the scenario {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the scenario {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if isinstance(values, dict):
        values = {"name": path.stem, **values}
    return parse_scenario(values if values is not None else {}, f"the scenario {path}")
