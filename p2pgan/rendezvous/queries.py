"""Loads the named queries: all SQL outside of the schema lives in ``queries.sql``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

from p2pgan.errors import InternalError

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def parse_queries(text: str) -> Mapping[str, bytes]:
    """Cut ``text`` at its ``-- name: some_name`` lines; what stands before the first is dropped."""
    parts = _NAME.split(text)[1:]
    queries: dict[str, bytes] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise InternalError(f"queries.sql names {name} twice")
        # A header of the next section trails the last query of a section: comments end a body.
        lines = body.rstrip().splitlines()
        while lines and (not lines[-1].strip() or lines[-1].startswith("--")):
            lines.pop()
        queries[name] = "\n".join(lines).encode()
    return queries


QUERIES: Mapping[str, bytes] = parse_queries(files(__package__).joinpath("queries.sql").read_text("utf-8"))
"""Query text by name."""
