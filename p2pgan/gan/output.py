"""Files that appear under their names only when they are complete, and folders that are checked early."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from pathlib import Path

from p2pgan.errors import ConfigError, P2pganError

UNFINISHED = ".unfinished"
"""Ends the temporary names; a crash may leave one behind."""


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file in one go for whoever looks: under a temporary name, then renamed.

    Raises ConfigError if it cannot be written, P2pganError if the disk is full.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise not_written(path, error) from error


def append_whole(path: Path, content: bytes) -> None:
    """Adds to a file in the folder it lies in, or leaves it as it was: no part of a line, no empty file.

    Raises OSError if it cannot be written.
    """
    before = path.stat().st_size if path.exists() else None
    try:
        with path.open("ab", buffering=0) as file:
            while content:
                content = content[file.write(content) :]
    except OSError:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            os.truncate(path, before)
        raise


def check_folder(folder: Path) -> None:
    """Sees whether files can be written into a folder, or the folder be made, and leaves no trace.

    Raises ConfigError if not.
    """
    try:
        place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not place.is_dir():
            raise ConfigError(f"{place} is a file, not a folder; choose another --out")
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise not_written(folder, error) from error


def not_written(path: Path, error: OSError) -> P2pganError:
    """The line for a file or folder that cannot be written: a ConfigError unless the disk is full."""
    if is_full(error):
        return disk_is_full(path)
    return ConfigError(f"{path} cannot be written ({error.strerror}); choose another --out")


def is_full(error: OSError) -> bool:
    """Whether there was no space left, or none that this user may have."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def disk_is_full(path: Path) -> P2pganError:
    """The line for a disk on which ``path`` has no more room."""
    return P2pganError(f"the disk of {path} is full: free space, or choose another --out")
