"""Memory that peers of one machine share: what its maker gives away, and what a reader believes."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from p2pgan.transport import new_keys
from p2pgan.transport.arena import HEAD_BYTES, MAGIC, Arena
from p2pgan.transport.foreign import CannotShare, ForeignArena, machine
from p2pgan.transport.sharing import ArenaOffer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd is of Linux")

OWNER = new_keys().public
PAGE = mmap.PAGESIZE
SIZE = HEAD_BYTES + 8 * PAGE


@pytest.fixture
def arena() -> Arena:
    return Arena(OWNER, SIZE)


def offer_of(descriptor: int, size: int = SIZE) -> ArenaOffer:
    here = machine()
    assert here is not None
    return ArenaOffer(offer_id=bytes(16), machine=here, pid=os.getpid(), descriptor=descriptor, size=size)


def place(arena: Arena, content: bytes) -> tuple[memoryview, int]:
    payload = arena.allocate(len(content))
    assert payload is not None
    payload[:] = content
    offset = arena.offset_of(payload.toreadonly())
    assert offset is not None
    return payload, offset


def test_what_is_put_there_is_read_without_a_copy(arena: Arena) -> None:
    reader = ForeignArena(OWNER, offer_of(arena.descriptor))
    written, offset = place(arena, b"before")
    read = reader.payload(0, offset, 6)
    written[:] = b"after!"
    assert bytes(read) == b"after!"


def test_a_reader_cannot_write(arena: Arena) -> None:
    _, offset = place(arena, b"mine")
    read = ForeignArena(OWNER, offer_of(arena.descriptor)).payload(0, offset, 4)
    assert read.readonly
    again = os.open(f"/proc/self/fd/{arena.descriptor}", os.O_RDWR)
    try:
        with pytest.raises(PermissionError):
            os.pwrite(again, b"yours", offset)
        with pytest.raises(PermissionError):
            mmap.mmap(again, SIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        with pytest.raises(PermissionError):
            os.ftruncate(again, PAGE)
    finally:
        os.close(again)


def test_memory_is_given_out_again_once_nothing_refers_to_it(arena: Arena) -> None:
    first, offset = place(arena, bytes(PAGE))
    second, _ = place(arena, bytes(2 * PAGE))
    part = second[PAGE:]
    del first
    third, again = place(arena, bytes(10))
    assert again == offset
    del second, third
    assert arena.allocate(8 * PAGE) is None, "a part of it is still in use"
    del part
    gc.collect()
    whole = arena.allocate(8 * PAGE)
    assert whole is not None
    assert arena.allocate(1) is None


def test_a_payload_that_lies_elsewhere_has_no_place(arena: Arena) -> None:
    assert arena.offset_of(memoryview(bytes(100))) is None
    assert arena.offset_of(memoryview(b"")) is None


def test_what_is_read_stays_when_its_maker_is_gone(arena: Arena) -> None:
    payload, offset = place(arena, b"last words")
    reader = ForeignArena(OWNER, offer_of(arena.descriptor))
    read = reader.payload(0, offset, 10)
    del payload, arena, reader
    gc.collect()
    assert bytes(read) == b"last words"


def test_a_reader_notes_what_is_not_read_any_more(arena: Arena) -> None:
    _, offset = place(arena, bytes(20))
    reader = ForeignArena(OWNER, offer_of(arena.descriptor))
    first, second = reader.payload(7, offset, 20), reader.payload(8, offset, 20)
    part = first[3:4]
    del first
    assert not reader.dropped
    del part
    assert list(reader.dropped) == [7]
    del second
    assert list(reader.dropped) == [7, 8]


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    opened: list[int] = []
    yield opened
    for descriptor in opened:
        os.close(descriptor)


def memfd(seals: int, size: int = SIZE, head: bytes = MAGIC + OWNER.encode()) -> int:
    descriptor = os.memfd_create("other", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    os.pwrite(descriptor, head, 0)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def open_descriptors() -> set[Path]:
    return {path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def refused(offer: ArenaOffer, match: str) -> None:
    before = open_descriptors()
    with pytest.raises(CannotShare, match=match):
        ForeignArena(OWNER, offer)
    assert open_descriptors() == before


def test_memory_of_another_machine_is_not_looked_for(arena: Arena) -> None:
    offer = msgspec.structs.replace(offer_of(arena.descriptor), machine=bytes(32), pid=2**31 - 1)
    refused(offer, "another machine")


def test_what_is_no_memory_is_refused_and_not_waited_for(
    arena: Arena, descriptors: list[int], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(MAGIC + OWNER.encode() + bytes(SIZE - len(MAGIC) - 40))
    os.mkfifo(tmp_path / "fifo")
    pair = socket.socketpair()
    descriptors += [
        os.open(file, os.O_RDWR),
        os.open(tmp_path / "fifo", os.O_RDWR),
        os.open("/dev/zero", os.O_RDWR),
        os.open(tmp_path, os.O_RDONLY),
        *(end.detach() for end in pair),
    ]
    for descriptor in descriptors:
        refused(offer_of(descriptor), "no memory")
    refused(offer_of(2**31 - 1), "cannot be opened")
    refused(msgspec.structs.replace(offer_of(arena.descriptor), pid=2**31 - 1), "cannot be opened")


def test_memory_that_could_become_shorter_is_refused(descriptors: list[int]) -> None:
    descriptors += [memfd(0), memfd(fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)]
    for descriptor in descriptors:
        refused(offer_of(descriptor), "not sealed")


@pytest.mark.parametrize("size", [1, PAGE - 1, SIZE - 1, SIZE + 1, 2**40])
def test_memory_of_another_size_than_was_said_is_refused(arena: Arena, size: int) -> None:
    refused(offer_of(arena.descriptor, size), "bytes and not")


def test_memory_of_another_user_is_refused(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    refused(offer_of(arena.descriptor), "another user")


def test_memory_that_another_peer_shares_is_not_taken_for_the_senders(descriptors: list[int]) -> None:
    other = Arena(new_keys().public, SIZE)
    refused(offer_of(other.descriptor), "not the sender's")
    descriptors.append(memfd(fcntl.F_SEAL_SHRINK, head=b"some secret of another program"))
    refused(offer_of(descriptors[0]), "not the sender's")
