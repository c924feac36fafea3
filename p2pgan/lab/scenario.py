"""A scenario: how many peers, how long, and which faults befall them when."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from p2pgan.errors import ConfigError
from p2pgan.lab.fault import DISKS, NETWORK, POSTGRES, ROLES, Action, Fault
from p2pgan.yaml_text import parse_yaml


class Scenario(BaseModel):
    """What a lab does. A flag of ``p2pgan lab`` takes precedence over a scenario's value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    about: str = ""
    peers: int = Field(3, ge=1, le=64, description="peers at the start")
    minutes: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="how long, since all first peers took part"
    )
    versions: int | None = Field(None, ge=1, description="train until this version is committed")
    until_recovered: bool = Field(
        False, description="end as soon as the run has recovered from all faults; minutes is then the most"
    )
    config: dict[str, object] = Field({}, description="the run's configuration, as a file for lead --config")
    clocks: dict[str, float] = Field({}, description="peers whose clock is ahead, by so many seconds")
    faults: tuple[Fault, ...] = ()

    @model_validator(mode="after")
    def _targets_exist(self) -> Self:
        names = {*ROLES, *(f"peer-{number}" for number in range(1, self.peers + 1))}
        names |= {fault.target for fault in self.faults if fault.do is Action.JOIN and fault.target}
        if unknown := sorted(self.clocks.keys() - names | self.clocks.keys() & ROLES):
            raise ValueError(f"clocks names {unknown[0]}, which is a peer that never joins")
        for fault in self.faults:
            if fault.target is not None and fault.target not in names:
                raise ValueError(f"'{fault}' is about a peer that never joins")
        return self

    @property
    def moves_postgres(self) -> bool:
        return any(fault.do in POSTGRES for fault in self.faults)

    @property
    def moves_network(self) -> bool:
        return any(fault.do in NETWORK for fault in self.faults)

    @property
    def moves_disks(self) -> bool:
        return any(fault.do in DISKS for fault in self.faults)


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
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the scenario {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"the scenario {path} is not valid YAML: {error}") from error
    if isinstance(values, dict):
        values = {"name": path.stem, **values}
    return parse_scenario(values if values is not None else {}, f"the scenario {path}")
