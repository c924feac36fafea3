"""Words for people: numbers with their nouns, and names that others chose."""

from __future__ import annotations

SHORT_ID = 8
"""Characters of an identity that tell peers apart in texts."""


def counted(number: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """``text`` on one line, without anything a terminal would obey or hide: control and format characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str, length: int = 200) -> str:
    """``text``, or its beginning and end if it is longer than ``length``."""
    if len(text) <= length:
        return text
    half = (length - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"
