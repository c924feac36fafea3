"""How lists of things that happened are printed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import typer

from p2pgan.protocol.texts import printable


def print_objects(objects: Iterable[dict[str, Any]]) -> None:
    """One JSON array. Nothing in it is obeyed by a terminal: JSON escapes what is not ASCII."""
    typer.echo(json.dumps(list(objects), indent=2))


def print_lines(lines: Iterable[str]) -> None:
    """Lines of which parts are others' words."""
    for line in lines:
        typer.echo(printable(line))


def time_of(at: float) -> str:
    """A time in seconds since 1970 by this machine's time zone; a dash for what is none."""
    try:
        return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return "-"
