"""A simulation as a value: who takes part, what befalls them and when. The same value, the same outcome."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml

from p2pgan.errors import ConfigError
from p2pgan.yaml_text import parse_yaml

LEADER = "leader"
"""As a target: whoever holds the lease at that moment."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Sync = Literal["deltas", "gradients", "gossip"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Point(StrEnum):
    """Between which two steps a peer dies."""

    PLAN = "plan"
    """Some members have the plan, others do not."""
    EXCHANGE = "exchange"
    """Some shards are sent, others are not."""
    STAGING = "staging"
    """Before the snapshot is at the database."""
    COMMIT = "commit"
    """The commit is executed, its answer has not come."""
    ANNOUNCEMENT = "announcement"
    """Some members know that the round is committed, others do not."""
    DONATION = "donation"
    """A joiner has a part of its snapshot from this peer."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", forbid_unknown_fields=True):
    """Base of everything that can happen to a swarm. ``at`` counts from the start."""

    at: Seconds


class Crash(Fault, frozen=True, kw_only=True, tag="crash", omit_defaults=True):
    """kill -9 of a peer, at once or as soon as it comes to ``point``; started again later."""

    target: Name
    restart_after: Seconds
    point: Point | None = None
    journal: bool = True
    """Whether its journal, with the commits that wait, is there when it starts again."""


class CrashAll(Fault, frozen=True, kw_only=True, tag="crash-all", omit_defaults=True):
    """kill -9 of everyone; each starts again after its own delay, up to ``restart_within``."""

    restart_within: Seconds
    journals: bool = True


class Freeze(Fault, frozen=True, kw_only=True, tag="freeze"):
    """SIGSTOP, and SIGCONT after ``seconds``."""

    target: Name
    seconds: Seconds


class Leave(Fault, frozen=True, kw_only=True, tag="leave"):
    """Ctrl-C: the peer leaves in order, and joins again later."""

    target: Name
    join_after: Seconds


class Cut(Fault, frozen=True, kw_only=True, tag="cut", omit_defaults=True):
    """Nothing gets from ``source`` to ``to``, nor back unless ``one_way``."""

    source: Name
    to: Name
    seconds: Seconds
    one_way: bool = False


class Partition(Fault, frozen=True, kw_only=True, tag="partition", omit_defaults=True):
    """Nothing gets from ``inside`` to the others, nor back unless ``one_way``; all reach the database."""

    inside: tuple[Name, ...]
    seconds: Seconds
    one_way: bool = False


class CutDatabase(Fault, frozen=True, kw_only=True, tag="cut-database"):
    """One peer does not reach the database."""

    target: Name
    seconds: Seconds


class DatabaseDown(Fault, frozen=True, kw_only=True, tag="database-down"):
    """Nobody reaches the database."""

    seconds: Seconds


class Weather(Fault, frozen=True, kw_only=True, tag="weather", omit_defaults=True):
    """Shares of all messages that get lost, come twice, or take up to two seconds."""

    seconds: Seconds
    loss: Share = 0.0
    duplicate: Share = 0.0
    slow: Share = 0.0


class SlowLink(Fault, frozen=True, kw_only=True, tag="slow-link"):
    """One direction of a link has this latency and bandwidth."""

    source: Name
    to: Name
    seconds: Seconds
    latency: Seconds
    bytes_per_s: Annotated[float, msgspec.Meta(gt=0)]


class SlowPeer(Fault, frozen=True, kw_only=True, tag="slow-peer"):
    """A peer trains ``factor`` times slower."""

    target: Name
    seconds: Seconds
    factor: Annotated[float, msgspec.Meta(ge=1)]


class Spoil(Fault, frozen=True, kw_only=True, tag="spoil"):
    """What a peer sends of its contributions is not valid."""

    target: Name
    seconds: Seconds


AnyFault = (
    Crash
    | CrashAll
    | Freeze
    | Leave
    | Cut
    | Partition
    | CutDatabase
    | DatabaseDown
    | Weather
    | SlowLink
    | SlowPeer
    | Spoil
)


class PeerSetup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One machine."""

    name: Name
    images_per_s: Annotated[float, msgspec.Meta(gt=0)] = 50.0
    joins_at: Seconds = 0.0
    clock_ahead: float = 0.0
    """Seconds between this machine's clock and the others'."""
    behind_nat: bool = False
    """It can only dial out: two such peers do not reach each other."""
    bytes_per_s: Annotated[float, msgspec.Meta(gt=0)] = 10e6
    """Its uplink."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One simulation. ``seed`` fixes every delay, loss and duration that is not written here."""

    seed: int
    peers: Annotated[tuple[PeerSetup, ...], msgspec.Meta(min_length=1)]
    faults: tuple[AnyFault, ...] = ()
    faults_until: Seconds = 35.0
    """From here on everything is mended."""
    rounds: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The simulation goes on until so many are committed, at least until ``faults_until``."""
    loss: Share = 0.0
    """Of all messages, all the time."""
    sync: Sync = "deltas"
    """What the peers average."""

    @property
    def everyone_meets(self) -> bool:
        """Whether each pair of peers can talk."""
        return sum(peer.behind_nat for peer in self.peers) < 2


def as_yaml(scenario: Scenario) -> str:
    """The scenario as a file that ``read_scenario`` takes."""
    return yaml.safe_dump(msgspec.to_builtins(scenario), sort_keys=False, default_flow_style=None, width=110)


def parse_scenario(text: str, source: str = "the scenario") -> Scenario:
    """The scenario that ``as_yaml`` wrote, or that somebody wrote by hand. Raises ConfigError."""
    try:
        values = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{source} is not valid YAML: {error}") from error
    try:
        scenario = msgspec.convert(values, Scenario)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source} is not valid: {error}") from error
    _check_names(scenario, source)
    return scenario


def _check_names(scenario: Scenario, source: str) -> None:
    names = [peer.name for peer in scenario.peers]
    if len(set(names)) < len(names) or LEADER in names:
        raise ConfigError(f"{source} needs a name of its own for each peer, and none is '{LEADER}'")
    for fault in scenario.faults:
        named = set(getattr(fault, "inside", ()))
        named |= {getattr(fault, field) for field in ("source", "to") if hasattr(fault, field)}
        named |= {getattr(fault, "target", LEADER)} - {LEADER}
        if unknown := sorted(named - set(names)):
            raise ConfigError(f"{source} has a fault of {unknown[0]}, which is none of its peers")


def read_scenario(path: Path) -> Scenario:
    """The scenario in a file. Raises ConfigError if it cannot be read or is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the scenario {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the scenario {path} is not text") from error
    return parse_scenario(text, f"the scenario {path}")
