"""Memory of this process that other processes of the same user may read: payloads for peers of this machine.

A memfd has no name in any file system and is gone with the last process that has it open, however that
one ends. It is sealed before anybody is told of it: it cannot become shorter, so that who reads from it never
gets SIGBUS, and nobody but its maker can come to write into it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import weakref
from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from p2pgan.protocol.ids import PeerId

MAGIC = b"p2pgan-arena-1\0\0"
HEAD_BYTES = mmap.PAGESIZE
"""What lies before all payloads: ``MAGIC`` and the key of who sends them."""
F_SEAL_FUTURE_WRITE = 0x10
"""Linux 5.1; not in the module ``fcntl`` of all versions."""


class Allocator(Protocol):
    """Where a payload is written: memory of so many bytes, writable, whose content is undefined."""

    def __call__(self, size: int) -> memoryview: ...


def private_memory(size: int) -> memoryview:
    """Memory of this process alone."""
    return np.empty(size, dtype=np.uint8).data


@dataclass
class Arena:
    """One memfd, and which parts of it are in use. May be used from any thread."""

    owner: PeerId
    size: int
    """Bytes; a page that was never used takes no memory."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _free: list[tuple[int, int]] = field(default_factory=list)
    """Ranges (start, stop), in order, none beside another."""
    _dropped: deque[tuple[int, int]] = field(default_factory=deque)
    """Ranges that nobody here uses any more; filled wherever the last one ends who does."""
    _claimed: int = HEAD_BYTES
    """Up to here the kernel has given memory."""

    def __post_init__(self) -> None:
        """Raises OSError where the kernel has no such memory, or too little."""
        descriptor = os.memfd_create("p2pgan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        os.ftruncate(descriptor, self.size)
        os.posix_fallocate(descriptor, 0, HEAD_BYTES)
        self._map = mmap.mmap(descriptor, self.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        head = MAGIC + self.owner.encode("ascii")
        self._map[: len(head)] = head
        _seal(descriptor)
        self._start: int = np.frombuffer(self._map, np.uint8).__array_interface__["data"][0]
        self._free.append((HEAD_BYTES, self.size))

    def allocate(self, size: int) -> memoryview | None:
        """Memory that others can read, until nothing refers to it here; None if there is no room."""
        room = max(1, -(-size // mmap.PAGESIZE)) * mmap.PAGESIZE
        with self._lock:
            self._take_back()
            start = self._take(room)
            if start is None:
                return None
        array = np.frombuffer(self._map, np.uint8, size, start)
        weakref.finalize(array, self._dropped.append, (start, start + room)).atexit = False
        return array.data

    def offset_of(self, payload: memoryview) -> int | None:
        """Where ``payload`` begins, if it lies here."""
        if not len(payload):
            return None
        offset = int(np.frombuffer(payload, np.uint8).__array_interface__["data"][0]) - self._start
        return offset if HEAD_BYTES <= offset < self.size else None

    def _take(self, room: int) -> int | None:
        for index, (start, stop) in enumerate(self._free):
            if stop - start >= room:
                if not self._claim(start + room):
                    return None
                self._free[index : index + 1] = [(start + room, stop)] if stop - start > room else []
                return start
        return None

    def _claim(self, stop: int) -> bool:
        """Have memory up to ``stop`` before it is written to: without any, writing would be SIGBUS."""
        if stop > self._claimed:
            try:
                os.posix_fallocate(self.descriptor, self._claimed, stop - self._claimed)
            except OSError:
                return False
            self._claimed = stop
        return True

    def _take_back(self) -> None:
        while self._dropped:
            start, stop = self._dropped.popleft()
            insort(self._free, (start, stop))
            merged: list[tuple[int, int]] = []
            for each in self._free:
                if merged and merged[-1][1] == each[0]:
                    merged[-1] = (merged[-1][0], each[1])
                else:
                    merged.append(each)
            self._free = merged


def _seal(descriptor: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    try:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
    except OSError:  # a kernel before 5.1 keeps nobody of the same user from writing
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)
