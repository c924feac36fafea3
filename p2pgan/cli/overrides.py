"""From a configuration file and flags to what was said about the run, as nested keys of RunConfig."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from p2pgan.errors import ConfigError
from p2pgan.gan.presets import preset_values
from p2pgan.peer.config import RunConfig, check_groups, merge, read_yaml
from p2pgan.protocol.texts import shortened
from p2pgan.yaml_text import MAX_DEPTH, parse_yaml

PARAMETERS = {
    "dataset": "dataset",
    "gan.model.name": "model",
    "gan.model.resolution": "resolution",
    "gan.loss.name": "loss",
    "gan.augment.policy": "augment",
    "gan.hold_out": "hold_out",
    "gan.sharding": "sharding",
    "gan.microbatch": "batch_size",
    "gan.accumulate": "accumulate",
    "gan.precision": "precision",
    "gan.seed": "seed",
    "goal.epochs": "epochs",
    "sync.mode": "sync",
    "sync.aggregation": "aggregation",
    "score_every": "score_every",
    "sync.codec": "codec",
}
"""Settings that have a flag of their own, and the name of its parameter."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Values that were said in one place, as nested keys of RunConfig."""

    origin: str
    """For people: ``--seed``, ``P2PGAN_SEED``, the file's name."""
    values: Mapping[str, object]


def requested(
    config: Path | None,
    settings: Iterable[str] | None,
    flags: Mapping[str, object | None],
    preset: str | None = None,
    environment: Collection[str] = (),
) -> dict[str, object]:
    """All that ``layers`` finds, each put on top of the ones before. Raises as it does."""
    return overlaid(layers(config, settings, flags, preset, environment))


def overlaid(said: Iterable[Layer]) -> dict[str, object]:
    """The layers as one."""
    values: dict[str, object] = {}
    for layer in said:
        values = merge(values, layer.values)
    return values


def layers(
    config: Path | None,
    settings: Iterable[str] | None,
    flags: Mapping[str, object | None],
    preset: str | None = None,
    environment: Collection[str] = (),
) -> list[Layer]:
    """The preset, the file, the environment, ``KEY=VALUE`` settings and flags, as far as they were given.

    ``flags`` is keyed by dotted names; None means that the flag was not given. ``environment`` has the
    parameters whose values came from there (``seed``, ``settings``): what was typed goes over them.

    Raises:
        ConfigError: no such preset, an unreadable file, or a setting that is not
            ``KEY=VALUE`` or lacks the groups it is in.
    """
    said = [] if preset is None else [Layer(f"preset {preset}", {"gan": preset_values(preset)})]
    if config is not None:
        of_file = read_yaml(config)
        check_groups(of_file)
        said.append(Layer(f"file {config}", of_file))
    from_there: list[Layer] = []
    typed: list[Layer] = []
    for setting in settings or ():
        one = _nested(*_parse(setting))
        check_groups(one)
        place = from_there if "settings" in environment else typed
        place.append(Layer("P2PGAN_SET" if place is from_there else "--set", one))
    for key, value in flags.items():
        if value is None:
            continue
        name = PARAMETERS.get(key, key)
        if name in environment:
            from_there.append(Layer(f"P2PGAN_{name.upper()}", _nested(key, value)))
        else:
            typed.append(Layer(f"--{name.replace('_', '-')}", _nested(key, value)))
    return [*said, *from_there, *typed]


def _parse(setting: str) -> tuple[str, object]:
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or len(parts) > MAX_DEPTH:
        raise ConfigError(
            f"--set {shortened(setting)} is not KEY=VALUE; for example --set gan.model.width=64"
        )
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(
            f"the value of --set {shortened(setting)} cannot be read: {error}; quote it as YAML"
        ) from error
    _check_name(key.strip(), setting)
    return key.strip(), value


def _check_name(key: str, setting: str) -> None:
    """Refuses the last part of a setting's name in place of all of it: ``width`` for ``gan.model.width``.

    Any other key that does not exist is refused with the rest of the configuration.
    """
    if "." in key or key in RunConfig.model_fields:
        return
    names = list(_names(RunConfig().model_dump()))
    lasts = {name.rpartition(".")[2] for name in names if "." in name}
    near = get_close_matches(key, lasts, n=1, cutoff=0.8)
    meant = [name for name in names if near and name.rpartition(".")[2] == near[0]]
    if meant:
        raise ConfigError(
            f"--set {shortened(setting)}: there is no setting {key!r}; did you mean {' or '.join(meant)}?"
        )


def _names(values: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _nested(key: str, value: object) -> dict[str, object]:
    head, dot, rest = key.partition(".")
    return {head: _nested(rest, value) if dot else value}
