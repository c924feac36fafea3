from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pgan import rendezvous
from p2pgan.errors import InternalError
from p2pgan.rendezvous.queries import QUERIES, parse_queries

CODE = {path: path.read_text() for path in Path(rendezvous.__path__[0]).glob("*.py")}


def test_queries_are_cut_at_their_names() -> None:
    text = "-- a file\n\n-- name: one\nselect 1\n\n-- Section ---\n\n-- name: two\nselect 2 -- why\n"
    assert parse_queries(text) == {"one": b"select 1", "two": b"select 2 -- why"}


def test_a_name_stands_once() -> None:
    with pytest.raises(InternalError, match="twice"):
        parse_queries("-- name: one\nselect 1\n-- name: one\nselect 2\n")


def test_every_query_is_used_and_every_used_one_exists() -> None:
    calls = r'(?:\.(?:run|run_many|rows|row|value)\(\s*|QUERIES\[)"(\w+)"'
    used = {name for text in CODE.values() for name in re.findall(calls, text)}
    assert used == set(QUERIES)


def test_there_is_no_sql_outside_of_sql_files() -> None:
    statement = re.compile(
        r"\"[^\"]*\b(select .* from|insert into|update \w+ set|delete from)\b", re.IGNORECASE
    )
    assert [path.name for path, text in CODE.items() if statement.search(text)] == []
