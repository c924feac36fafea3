"""What all commands do in another way than typer: help pages, flags whose value may be missing, Ctrl-C."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_OPTIONAL_VALUES = {"--watch": "2"}
"""Flags that may stand without a value, and the value that they then have."""


def optional_value(flag: str) -> str:
    """What ``flag`` has where it stands without a value."""
    return _OPTIONAL_VALUES[flag]


class Command(TyperCommand):
    """One command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments; a flag whose value may be missing gets it here."""
        return super().parse_args(ctx, _with_optional_values(args))

    def get_params(self, ctx: Any) -> list[Any]:  # Any: the context's class is typer's own secret
        """The parameters, ``--help`` included."""
        return _without_types_of_flags(super().get_params(ctx))


class Group(TyperGroup):
    """The program itself."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a command. Raises typer.Abort for Ctrl-C, of which typer would make a silent exit."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise typer.Abort from error

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, ``--help`` included."""
        return _without_types_of_flags(super().get_params(ctx))


def _with_optional_values(arguments: list[str]) -> list[str]:
    filled = []
    for argument, after in pairwise([*arguments, "-"]):
        filled.append(argument)
        if argument in _OPTIONAL_VALUES and after.startswith("-"):
            filled.append(_OPTIONAL_VALUES[argument])
    return filled


def _without_types_of_flags(parameters: list[Any]) -> list[Any]:
    """Typer would write ``<bool>`` behind a flag, as if a value had to follow."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
