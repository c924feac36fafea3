"""Cores, memory, limits, disk and key of this machine."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import psutil

from p2pgan.errors import Trouble, more_about
from p2pgan.peer.doctor.finding import Finding, failing
from p2pgan.protocol.texts import counted

LEAST_MEMORY = 2**30
"""Bytes; torch alone takes a third of it."""
LEAST_DISK = 500 * 2**20
"""Bytes; a commit that waits is a whole snapshot."""
FILES_OF_A_PEER, FILES_PER_OTHER = 64, 8
LEAST_FILES = 256
"""Enough for two dozen peers."""


def resource_findings() -> list[Finding]:
    """Processor, memory, and how many files and connections the process may have open."""
    return [_cores(), _memory(), _files()]


def state_findings(folder: Path) -> list[Finding]:
    """The folder of this peer's key and journal, or the one that it would be made in; nothing is made."""
    there = _nearest(folder)
    findings: list[Finding] = []
    try:
        free = shutil.disk_usage(there).free
        usable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    except OSError as error:
        return [Finding("state", "mend", f"the folder {folder} cannot be used: {error.strerror}")]
    facts = {"folder": str(folder), "exists": there == folder, "free_bytes": free}
    text = f"{folder}, {_gib(free)} free"
    if not usable:
        text = f"{folder} cannot be written: choose a folder you may write to with --state-dir"
        findings.append(Finding("state", "mend", text, facts))
    elif free < LEAST_DISK:
        text = f"{text}: free at least {LEAST_DISK // 2**20} MiB, or choose another disk with --state-dir"
        findings.append(Finding("state", "mend", text, facts))
    else:
        findings.append(Finding("state", "ok", text, facts))
    return findings + _key(folder)


def _key(folder: Path) -> list[Finding]:
    from p2pgan.transport.curve import KEY_FILE, find_keys

    findings: list[Finding] = []
    with failing(findings, "key"):
        keys = find_keys(folder)
        facts = {"exists": keys is not None}
        text = f"{KEY_FILE}, for its owner only" if keys else "none yet: the first lead or join makes it"
        findings.append(Finding("key", "ok", text, facts))
    return findings


def _nearest(folder: Path) -> Path:
    """The folder itself, or the closest above it that is there."""
    folder = folder.absolute()
    return next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)


def _cores() -> Finding:
    # A container or a batch system may leave us fewer than there are.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = counted(usable, "core")
    return Finding("cores", "ok", text, {"usable": usable, "of": os.cpu_count()})


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    text = f"{_gib(memory.available)} of {_gib(memory.total)} available"
    facts = {"available_bytes": memory.available, "total_bytes": memory.total}
    if memory.available < LEAST_MEMORY:
        text = more_about(f"{text}: end other programs, {_gib(LEAST_MEMORY)} are needed", Trouble.MEMORY)
        return Finding("memory", "mend", text, facts)
    return Finding("memory", "ok", text, facts)


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    facts = {"soft": soft, "hard": hard}
    if soft == resource.RLIM_INFINITY:
        return Finding("files", "ok", "no limit", facts)
    if soft < LEAST_FILES:
        text = f"at most {soft} open files: run `ulimit -n 4096` before p2pgan in this shell"
        return Finding("files", "mend", text, facts)
    peers = (soft - FILES_OF_A_PEER) // FILES_PER_OTHER
    return Finding("files", "ok", f"at most {soft:,} open, enough for about {peers:,} peers", facts)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
