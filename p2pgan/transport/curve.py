"""A peer's long-lived key pair, which is its identity, and the file that keeps it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from p2pgan.errors import ConfigError
from p2pgan.protocol.ids import PeerId

KEY_FILE = "peer.key"


@dataclass(frozen=True, slots=True)
class Keys:
    """A CURVE key pair in Z85, 40 characters each. ``public`` is the peer's id."""

    public: PeerId
    secret: str = field(repr=False)


def new_keys() -> Keys:
    """A fresh identity that is kept nowhere."""
    public, secret = zmq.curve_keypair()
    return Keys(public.decode("ascii"), secret.decode("ascii"))


def load_keys(folder: Path) -> Keys:
    """The identity kept in ``folder``; made there, readable by its owner alone, if there is none.

    Raises:
        ConfigError: the file is corrupt, open to other users, or cannot be read or written.
    """
    path = folder / KEY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return _create(path)
        except FileExistsError:
            return _read(path)
    except OSError as error:
        raise ConfigError(f"cannot use the key file {path}: {error.strerror}") from error


def find_keys(folder: Path) -> Keys | None:
    """The identity kept in ``folder``, or None; nothing is made. Raises as ``load_keys`` does."""
    path = folder / KEY_FILE
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot use the key file {path}: {error.strerror}") from error


def _create(path: Path) -> Keys:
    keys = new_keys()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(keys.secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    return keys


def _read(path: Path) -> Keys:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ConfigError(f"the key file {path} is open to other users: run chmod 600 on it")
    try:
        secret = path.read_text(encoding="ascii").strip()
        public = zmq.curve_public(secret.encode("ascii"))
    except (ValueError, zmq.ZMQError) as error:
        raise ConfigError(
            f"the key file {path} is corrupt: remove it to join under a new identity"
        ) from error
    return Keys(public.decode("ascii"), secret)
