"""Numbers with their words, for people."""

from __future__ import annotations


def counted(number: int, word: str) -> str:
    """``1 peer``, ``2 peers``, ``12,000 images``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
