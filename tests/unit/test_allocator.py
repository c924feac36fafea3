"""glibc is told to keep memory where it is there and nobody said otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from p2pgan import allocator

HERE_IS_GLIBC = platform.libc_ver()[0] == "glibc"
FAULTS = """
import resource
from p2pgan.allocator import keep_freed_memory
if {kept}:
    assert keep_freed_memory() is not None
for _ in range(3):
    bytearray(64 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    bytearray(64 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(kept: bool) -> int:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    child = [sys.executable, "-c", FAULTS.format(kept=kept)]
    return int(subprocess.run(child, env=own, capture_output=True, check=True).stdout)


@pytest.mark.skipif(not HERE_IS_GLIBC, reason="the C library is not glibc")
def test_memory_that_was_freed_is_there_without_the_kernel() -> None:
    assert page_faults(kept=True) * 10 < page_faults(kept=False)


PIECES = """
from p2pgan.allocator import give_freed_memory_back, keep_freed_memory

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

keep_freed_memory()
pieces = [bytearray(1 << 20) for _ in range(200)]
del pieces[::2]
before = resident_mb()
give_freed_memory_back()
print(before - resident_mb())
"""


def given_back_mb(**said: str) -> int:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    child = [sys.executable, "-c", PIECES]
    return int(subprocess.run(child, env={**own, **said}, capture_output=True, check=True).stdout)


@pytest.mark.skipif(not HERE_IS_GLIBC, reason="the C library is not glibc")
def test_what_is_free_between_other_things_is_given_back() -> None:
    assert given_back_mb() > 80
    told = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 30)}
    assert given_back_mb(**told) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072")],
)
def test_what_the_user_says_stands(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert allocator.keep_freed_memory() is None


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    assert allocator.keep_freed_memory() is None
