"""Averaging through Postgres as well as it can be done: shards, chunks of 1 MiB, COPY in binary.

Each member copies its slices of the others' shards into an unlogged table, reduces its own shard, and
copies the mean in for the others. Members wait for each other by NOTIFY.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import torch
from serve import ask, serve, task
from torch import Tensor

CHUNK = 1 << 18
"""Elements: 1 MiB."""
TABLE = """
create unlogged table if not exists chunks (
    round int, kind int, sender int, receiver int, at int, bytes bytea
);
alter table chunks alter column bytes set storage external;
create index if not exists chunks_place on chunks (round, kind, sender, receiver)
"""
SLICE, MEAN = 0, 1
EVERYONE = -1


class Member:
    """One member's connection."""

    def __init__(self, dsn: str, place: int, n: int, elements: int) -> None:
        self._place, self._n = place, n
        self._borders = [elements * index // n for index in range(n + 1)]
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute("set synchronous_commit = off")
        self._connection.execute("listen chunks")
        self._heard: set[str] = set()

    def average(self, number: int, vector: Tensor) -> Tensor:
        """The mean of all members' vectors."""
        others = [other for other in range(self._n) if other != self._place]
        for other in others:
            self._put(number, SLICE, other, vector, *self._shard(other))
        mean = torch.empty_like(vector)
        start, stop = self._shard(self._place)
        mean[start:stop] = vector[start:stop]
        for other in others:
            for at, part in self._get(number, SLICE, other, self._place):
                mean[at : at + len(part)] += part
        mean[start:stop].div_(self._n)
        self._put(number, MEAN, EVERYONE, mean, start, stop)
        for other in others:
            for at, part in self._get(number, MEAN, other, EVERYONE):
                mean[at : at + len(part)] = part
        return mean

    def _shard(self, member: int) -> tuple[int, int]:
        return self._borders[member], self._borders[member + 1]

    def _put(self, number: int, kind: int, receiver: int, vector: Tensor, start: int, stop: int) -> None:
        statement = "copy chunks from stdin (format binary)"
        with self._connection.transaction():
            with self._connection.cursor().copy(statement) as copy:
                copy.set_types(["int4", "int4", "int4", "int4", "int4", "bytea"])
                for at in range(start, stop, CHUNK):
                    part = vector[at : min(at + CHUNK, stop)].numpy().data
                    copy.write_row((number, kind, self._place, receiver, at, part))
            self._connection.execute(f"notify chunks, '{number} {kind} {self._place} {receiver}'")

    def _get(self, number: int, kind: int, sender: int, receiver: int) -> Iterator[tuple[int, Tensor]]:
        wanted = f"{number} {kind} {sender} {receiver}"
        while wanted not in self._heard:
            for notice in self._connection.notifies(stop_after=1):
                self._heard.add(notice.payload)
        self._heard.discard(wanted)
        query = (
            f"copy (select at, bytes from chunks where round = {number} and kind = {kind} "
            f"and sender = {sender} and receiver = {receiver}) to stdout (format binary)"
        )
        with self._connection.cursor().copy(query) as copy:
            copy.set_types(["int4", "bytea"])
            for at, part in copy.rows():
                yield at, torch.frombuffer(bytearray(part), dtype=torch.float32)


if __name__ == "__main__":
    job = task()
    if job["place"] == 0:
        with psycopg.connect(job["dsn"]) as connection:
            connection.execute(TABLE)
    ask(made=True)
    member = Member(job["dsn"], job["place"], job["n"], job["elements"])
    serve(member.average, job["place"], job["elements"])
