"""What all commands do in another way than typer: their help pages, and Ctrl-C."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """One command."""

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


def _without_types_of_flags(parameters: list[Any]) -> list[Any]:
    """Typer would write ``<bool>`` behind a flag, as if a value had to follow."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
