"""glibc's allocator, told to keep the memory that a training asks for again at each step.

By default glibc takes each large tensor from the kernel and gives it back when it is freed. The kernel
clears every page of it anew at each step. What is kept falls to pieces in time, between which small things
live, so that ever more is taken: now and then all that is free is given back after all.
docs/performance.md says what either costs here.
"""

from __future__ import annotations

import ctypes
import os
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of glibc's malloc.h."""
LARGEST_FROM_HEAP = 1 << 30
"""Bytes; what is larger still comes from the kernel each time."""
NEVER_TRIM = -1
SAID_BY_USER = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_")
"""Variables that glibc itself reads; one of them, or a tunable, and everything stays as it says."""


def keep_freed_memory() -> str | None:
    """Make this process keep freed memory for itself; a line that says so, or None if nothing was done.

    Where the C library is another than glibc, or its own variables are set, nothing is done.
    """
    if not _may_decide():
        return None
    mallopt = ctypes.CDLL(None).mallopt
    if not (mallopt(_MMAP_THRESHOLD, LARGEST_FROM_HEAP) and mallopt(_TRIM_THRESHOLD, NEVER_TRIM)):
        return None
    return (
        "memory that a step frees is kept for the next, which is faster (MALLOC_TRIM_THRESHOLD_ changes that)"
    )


def give_freed_memory_back() -> None:
    """Give the kernel all pages back that are free, also between others; takes up to a tenth of a second."""
    if _may_decide():
        ctypes.CDLL(None).malloc_trim(0)


def _may_decide() -> bool:
    return platform.libc_ver()[0] == "glibc" and not _said_by_user()


def _said_by_user() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc." in tunables or any(name in os.environ for name in SAID_BY_USER)
