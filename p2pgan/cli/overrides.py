"""From a configuration file and flags to what was said about the run, as nested keys of RunConfig."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from p2pgan.errors import ConfigError
from p2pgan.peer.config import merge, read_yaml


def requested(
    config: Path | None, settings: Iterable[str] | None, flags: Mapping[str, object | None]
) -> dict[str, object]:
    """The file's values, overlaid with ``KEY=VALUE`` settings, overlaid with flags that were given.

    ``flags`` is keyed by dotted names; None means that the flag was not given.

    Raises:
        ConfigError: an unreadable file, or a setting that is not ``KEY=VALUE``.
    """
    said = read_yaml(config) if config is not None else {}
    for setting in settings or ():
        said = merge(said, _nested(*_parse(setting)))
    for key, value in flags.items():
        if value is not None:
            said = merge(said, _nested(key, value))
    return said


def _parse(setting: str) -> tuple[str, object]:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {setting} is not KEY=VALUE; for example --set gan.model.width=64")
    try:
        value: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of --set {setting} cannot be read; quote it as YAML") from error
    return key.strip(), value


def _nested(key: str, value: object) -> dict[str, object]:
    head, dot, rest = key.partition(".")
    return {head: _nested(rest, value) if dot else value}
