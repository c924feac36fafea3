"""Where the value of a flag came from."""

from __future__ import annotations

import typer


def by_flag(context: typer.Context, name: str) -> bool:
    """Whether the parameter ``name`` was said on the command line."""
    return _source(context, name) == "COMMANDLINE"


def by_environment(context: typer.Context, name: str) -> bool:
    """Whether the parameter ``name`` was said by a variable of the environment."""
    return _source(context, name) == "ENVIRONMENT"


def from_environment(context: typer.Context) -> frozenset[str]:
    """The parameters that variables of the environment said."""
    return frozenset(name for name in context.params if by_environment(context, name))


def _source(context: typer.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    return "" if source is None else source.name
