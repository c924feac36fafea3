"""Another process's arena, opened to read from it; whatever was said of it is checked here."""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
import weakref
from collections import deque
from functools import cache
from pathlib import Path

import blake3
import numpy as np

from p2pgan.protocol.ids import PeerId
from p2pgan.transport.arena import HEAD_BYTES, MAGIC
from p2pgan.transport.sharing import ArenaOffer

NEEDED_SEALS = 0 if not hasattr(fcntl, "F_SEAL_SHRINK") else fcntl.F_SEAL_SHRINK


class CannotShare(Exception):
    """Why memory that was offered is not read; the sender's frames come sealed then."""


@cache
def machine() -> bytes | None:
    """What processes have in common that were started since one boot of one kernel; None if unknown."""
    try:
        return blake3.blake3(Path("/proc/sys/kernel/random/boot_id").read_bytes()).digest()
    except OSError:
        return None


class ForeignArena:
    """Another peer's arena, mapped to be read."""

    def __init__(self, owner: PeerId, offer: ArenaOffer) -> None:
        """Raises CannotShare."""
        if machine() is None or offer.machine != machine():
            raise CannotShare("it is on another machine")
        try:
            self._map = _mapped(offer)
        except (OSError, ValueError, OverflowError) as error:
            raise CannotShare(f"its memory cannot be opened: {error}") from error
        # No memory that others let this process read is taken for this sender's.
        head = MAGIC + owner.encode("ascii")
        if self._map[: len(head)] != head:
            raise CannotShare("what lies there is not the sender's")
        self.dropped: deque[int] = deque()
        """Numbers of payloads that nobody here reads any more; filled wherever the last one ends who does."""

    def payload(self, number: int, offset: int, length: int) -> memoryview:
        """The payload there, all of it within the arena; it cannot be written to."""
        array = np.frombuffer(self._map, np.uint8, length, offset)
        weakref.finalize(array, self.dropped.append, number).atexit = False
        return array.data


def _mapped(offer: ArenaOffer) -> mmap.mmap:
    # O_PATH neither waits nor does anything to what is there, whatever that is; what is opened in earnest is
    # the same.
    found = os.open(f"/proc/{offer.pid}/fd/{offer.descriptor}", os.O_PATH | os.O_CLOEXEC)
    try:
        _check_kind(os.fstat(found), offer.size)
        descriptor = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(found)
    try:
        # Only memory has seals (EINVAL else). Once it is sealed its size is as it was found, for ever.
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & NEEDED_SEALS != NEEDED_SEALS:
            raise OSError("it is not sealed")
        _check_kind(os.fstat(descriptor), offer.size)
        return mmap.mmap(descriptor, offer.size, mmap.MAP_SHARED, mmap.PROT_READ)
    finally:
        os.close(descriptor)


def _check_kind(found: os.stat_result, size: int) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink:
        raise OSError("it is no memory")
    if found.st_uid != os.geteuid():
        raise OSError("it is another user's")
    if found.st_blksize != mmap.PAGESIZE:  # huge pages may be missing when they are read: SIGBUS
        raise OSError("it has pages of another size")
    if found.st_size != size or size < HEAD_BYTES:
        raise OSError(f"it has {found.st_size} bytes and not {size}")
