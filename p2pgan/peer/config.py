"""What all peers of a run share: nets, data, averaging, leadership. Stored in the rendezvous.

A configuration comes from defaults, a YAML file and flags, in this order. Every model is frozen and
refuses unknown keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from p2pgan.errors import ConfigError, Trouble
from p2pgan.gan.config import GanConfig, file_of_own_net, file_of_own_sharding
from p2pgan.protocol.codecs import CodecChoice
from p2pgan.protocol.texts import shortened
from p2pgan.yaml_text import MAX_BYTES, parse_yaml, shown

Nested = Mapping[str, object]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SyncConfig(_Frozen):
    """How the peers average."""

    mode: Literal["deltas", "gradients", "gossip"] = Field(
        "deltas",
        description="what is averaged: how far the nets moved, or their gradients in every step; "
        "gossip: how far they moved, and peers mix their weights in small groups between two rounds",
    )
    codec: CodecChoice = Field(
        "fp16",
        description="number format on the wire; auto takes fp16 or int8 by the members' measured bandwidth; "
        "topk is experimental",
    )
    round_seconds: float = Field(5.0, ge=0.2, le=3600, description="local training between two averagings")
    local_steps: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="steps between two averagings, in place of a time; with gradients 1, and more add up",
    )
    mix_seconds: float = Field(2.0, ge=0.1, le=3600, description="with gossip: time between two mixings")
    alpha: float = Field(1.0, gt=0, le=2, description="outer step: theta + alpha * mean of the deltas")
    momentum: float = Field(
        0.0, ge=0, lt=1, description="of the outer step: so much of the last movement goes on"
    )
    aggregation: Literal["mean", "clip", "trimmed-mean", "median", "multi-krum", "centered-clip"] = Field(
        "clip", description="rule by which contributions become one; see aggregation.md"
    )

    @model_validator(mode="after")
    def _outer_steps_are_of_deltas(self) -> Self:
        if self.mode == "gradients" and (self.alpha != 1 or self.momentum != 0):
            raise ValueError("alpha and momentum are not for gradients, which go into the run's Adam")
        return self


class LeadershipConfig(_Frozen):
    """Who holds the pen, and for how long."""

    ttl_s: float = Field(6.0, ge=1, le=300, description="the lease ends this long after its last renewal")
    renew_s: float = Field(2.0, ge=0.2, le=100, description="time between renewals")
    rotate_every: int = Field(20, ge=1, description="commits after which the leader hands over the pen")

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if self.renew_s * 2 > self.ttl_s:
            raise ValueError("renew_s must be at most half of ttl_s, or one late renewal loses the lease")
        return self


class GoalConfig(_Frozen):
    """Where the run ends; without a goal it goes on until it is stopped."""

    epochs: int | None = Field(None, ge=1, description="finished passes over the data set")
    versions: int | None = Field(None, ge=1, description="committed rounds")


class RunConfig(_Frozen):
    """The whole configuration of a run."""

    gan: GanConfig = Field(default_factory=GanConfig, description="nets, loss, optimizer, seed")
    dataset: str = Field("digits", min_length=1, description="data set: digits, folder:PATH, ...")
    sync: SyncConfig = Field(default_factory=SyncConfig)
    unit_images: int = Field(512, ge=1, le=1_000_000, description="images in one work unit")
    leadership: LeadershipConfig = Field(default_factory=LeadershipConfig)
    commit_seconds: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="least time between two commits of weights, or ten times as long as one takes",
    )
    sample_every: int = Field(10, ge=1, description="versions (in train, units) between two sample grids")
    score_every: int = Field(0, ge=0, description="versions between two scores of drawn images; 0: none")
    score_images: int = Field(1000, ge=8, le=50_000, description="images drawn for a score")
    score_extractor: str = Field(
        "builtin", min_length=1, max_length=64, description="builtin, or the BLAKE3 of a TorchScript file"
    )
    goal: GoalConfig = Field(default_factory=GoalConfig)

    @model_validator(mode="after")
    def _gradients_are_of_both_networks(self) -> Self:
        if self.sync.mode == "gradients" and self.gan.loss.d_steps > 1:
            raise ValueError(
                "with sync.mode gradients every version is a step of both networks; "
                "set gan.loss.d_steps=1, or sync.mode=deltas"
            )
        return self


def run_config(requested: Nested) -> RunConfig:
    """Defaults overlaid with ``requested``, nested keys of RunConfig.

    An own net or sharding, named by its file, is loaded and from then on goes by its name and digest.

    Raises:
        ConfigError: an unknown key or a value out of bounds; the text names the first one. Or an own net
            or sharding that cannot be loaded.
    """
    try:
        return RunConfig.model_validate(_with_own_code(requested))
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from error


def _with_own_code(requested: Nested) -> Nested:
    net, sharding = file_of_own_net(requested), file_of_own_sharding(requested)
    # Imported where they are used: torch comes with them.
    if net is not None:
        from p2pgan.gan.own import use_own_net

        requested = merge(requested, {"gan": {"model": {"name": use_own_net(net)}}})
    if sharding is not None:
        from p2pgan.gan.sharding import use_own_sharding

        requested = merge(requested, {"gan": {"sharding": use_own_sharding(sharding)}})
    return requested


def stored_config(stored: Nested) -> RunConfig:
    """The configuration of a run as the rendezvous keeps it.

    Raises:
        ConfigError: it was written by a release whose settings this one does not know.
    """
    try:
        return RunConfig.model_validate(stored)
    except ValidationError as error:
        raise ConfigError(
            f"the run's configuration is of another release of p2pgan: {_one_line(error)}", Trouble.RELEASE
        ) from error


def check_requested(stored: RunConfig, requested: Nested) -> None:
    """Refuses ``requested`` where it contradicts a run that exists; its data set's place may differ.

    Raises:
        ConfigError: names the first value that differs.
    """
    wanted = leaves(run_config(merge(stored.model_dump(), requested)).model_dump())
    for key, value in leaves(stored.model_dump()).items():
        if key != "dataset" and wanted[key] != value:
            raise ConfigError(
                f"the run was created with {key} = {value}, not {wanted[key]}; "
                "leave the value out, or start another run with --run NAME"
            )


def read_yaml(path: Path) -> dict[str, object]:
    """The nested keys in a YAML file.

    Raises:
        ConfigError: the file is missing, unreadable, not YAML, or not a mapping.
    """
    try:
        with path.open("rb") as file:
            content = parse_yaml(file.read(MAX_BYTES + 1).decode())
    except OSError as error:
        name = shortened(str(path))
        raise ConfigError(f"the configuration {name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"the configuration {path} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"the configuration {path} must be a mapping, such as 'unit_images: 512'")
    return cast(dict[str, object], content)


def check_groups(said: Nested) -> None:
    """Refuses a plain value in the place of a group, which something said later would silently replace.

    Raises:
        ConfigError: names the first such group.
    """
    _check_groups(said, RunConfig().model_dump())


def _check_groups(said: Nested, known: Nested, prefix: str = "") -> None:
    for key, below in known.items():
        if key not in said or not isinstance(below, Mapping):
            continue
        value, name = said[key], f"{prefix}{key}"
        if not isinstance(value, Mapping):
            names = ", ".join(f"{name}.{setting}" for setting in below)
            raise ConfigError(f"{name} = {shown(value)} is not valid: it is a group of settings, {names}")
        _check_groups(value, below, f"{name}.")


def merge(base: Nested, over: Nested) -> dict[str, object]:
    """``base`` with the values of ``over`` put on top, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged


def leaves(nested: Nested, prefix: str = "") -> dict[str, object]:
    """The values of nested mappings by their dotted names."""
    found: dict[str, object] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found.update(leaves(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = shortened(".".join(str(part) for part in first["loc"]) or "configuration")
    if first["type"] == "extra_forbidden":
        known = sorted(leaves(RunConfig().model_dump()))
        near = get_close_matches(where, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else _choice(where, known)
        return f"there is no setting {where!r}; {hint}"
    return f"{where} = {shown(first['input'])} is not valid: {first['msg'].removeprefix('Value error, ')}"


def _choice(where: str, known: Iterable[str]) -> str:
    """The settings of the group that ``where`` is in, or of all groups where there is no such group."""
    group = where.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == group] if group else []
    if siblings:
        return f"the settings there are {', '.join(siblings)}"
    tops = dict.fromkeys(name.partition(".")[0] for name in known)
    return f"the settings and groups are {', '.join(tops)}; docs/configuration.md has them all"
