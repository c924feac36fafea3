"""YAML that somebody wrote, and what to show of it where it is wrong."""

from __future__ import annotations

from reprlib import Repr

import yaml

from p2pgan.protocol.texts import shortened

MAX_BYTES = 100_000
"""Of a configuration; it has some dozens of lines."""
MAX_DEPTH = 10
"""A setting is within three mappings at most."""

# What PyYAML's constructors raise for a scalar that is not what its tag or its looks say.
_WRONG = (yaml.YAMLError, ValueError, AttributeError, LookupError, TypeError, ArithmeticError)

_BRIEF = Repr()
_BRIEF.maxstring = _BRIEF.maxother = 100


def parse_yaml(text: str) -> object:
    """The value that ``text`` describes; bounded, so that no text takes long or nests without an end.

    Raises:
        ValueError: in one line, what is wrong with it.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES:,} bytes")
    try:
        _check_depth(text)
        value: object = yaml.safe_load(text)
    except _WRONG as error:
        raise ValueError(shortened(" ".join(str(error).split()))) from error
    return value


def shown(value: object) -> str:
    """How a value looks in Python, as briefly as a line needs."""
    try:
        return _BRIEF.repr(value)
    except ValueError:  # Python does not write numbers of more than some thousand digits
        return "a number of thousands of digits"


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it refers to another part of itself (*); write that out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"it nests deeper than {MAX_DEPTH}")
