"""``--show-config``: every value of a command, and where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer

from p2pgan.cli.listing import print_lines
from p2pgan.cli.options import AUTO, variable
from p2pgan.cli.overrides import PARAMETERS, Layer, overlaid
from p2pgan.cli.sources import by_environment, by_flag
from p2pgan.peer.config import leaves, run_config
from p2pgan.yaml_text import shown

DEFAULT = "default"
_ABOUT_VALUES = {"config", "settings", "preset", "show_config", "dry_run", "debug"}
"""Parameters that say where values are, or what to do with them."""

Origins = Mapping[str, tuple[object, str]]
"""By a parameter's name: a value that neither flag nor variable said, and who did."""


def print_config(context: typer.Context, said: Sequence[Layer], elsewhere: Origins | None = None) -> None:
    """The run's configuration as a new run would have it, then what concerns this machine alone.

    Raises:
        ConfigError: the configuration is not valid.
    """
    print_run(run_config(overlaid(said)).model_dump(mode="json"), said, list(_left_open(context)))
    typer.echo()
    print_machine(context, elsewhere)


def print_run(
    config: Mapping[str, object], said: Sequence[Layer], more: Sequence[tuple[str, str, str]] = ()
) -> None:
    """A whole configuration, with whoever of ``said`` had the last word on each value."""
    lines = [(key, shown(value), _origin(key, said)) for key, value in leaves(config).items()]
    print_lines(_columns([*lines, *more]))


def print_machine(context: typer.Context, elsewhere: Origins | None = None) -> None:
    """What was said about this machine alone."""
    print_lines(_columns(list(_of_this_machine(context, elsewhere or {}))))


def _origin(key: str, said: Sequence[Layer]) -> str:
    """Where the last word on a setting was said."""
    return next((layer.origin for layer in reversed(said) if key in leaves(layer.values)), DEFAULT)


def _left_open(context: typer.Context) -> Iterator[tuple[str, str, str]]:
    """What is decided when the images and the device are there."""
    if context.params.get("conditional"):
        yield "gan.model.num_classes", "as many as the images have", _said_by(context, "conditional")
    if context.params.get("batch_size") == AUTO:
        yield "gan.microbatch", "the largest that fits", _said_by(context, "batch_size")


def _of_this_machine(context: typer.Context, elsewhere: Origins) -> Iterator[tuple[str, str, str]]:
    # Where no configuration is made, --dataset and --model say where this machine has the run's.
    of_the_run = {*PARAMETERS.values(), "conditional"} if "settings" in context.params else set()
    for name, value in context.params.items():
        if name in _ABOUT_VALUES or name in of_the_run:
            continue
        origin = _said_by(context, name)
        if origin == DEFAULT and name in elsewhere:
            value, origin = elsewhere[name]
        plain = str(value) if isinstance(value, Path) else value
        text = _place(value) if name == "rendezvous" and value is not None else shown(plain)
        yield _flag(context, name), text, origin


def _place(rendezvous: object) -> str:
    """Where a rendezvous is, without its password."""
    from p2pgan.rendezvous.dsn import place_of
    from p2pgan.rendezvous.postgres import EMBEDDED_PREFIX

    place = str(rendezvous)
    return place if place.startswith(EMBEDDED_PREFIX) else place_of(place)


def _said_by(context: typer.Context, name: str) -> str:
    flag = _flag(context, name)
    if by_flag(context, name):
        return flag
    return variable(flag) if by_environment(context, name) else DEFAULT


def _flag(context: typer.Context, name: str) -> str:
    """What people write for the parameter ``name``: ``--json`` for ``json_report``."""
    return next(parameter.opts[0] for parameter in context.command.params if parameter.name == name)


def _columns(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for key, value, origin in rows:
        yield f"{key:<{widths[0]}}  {value:<{min(widths[1], 40)}}  {origin}"
