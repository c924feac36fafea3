"""The exception tree: every error says whose fault it is.

::

    P2pganError                     exit code 1
    |-- UserError                   exit code 2: what was asked for cannot be done as asked
    |   |-- ConfigError             a configuration value or flag
    |   |-- DatasetError            the images: missing, unreadable, or another set than the run's
    |   |-- WeightsError            a weights file or stored weights: corrupt, another schema, not finite
    |   `-- RunError                no such run, several runs, a finished run
    |-- RendezvousError             the database
    |   |-- RendezvousUnavailable   cannot be reached now; trying again may help
    |   |-- RendezvousRefused       wrong address, password or rights (exit code 2)
    |   `-- SchemaMismatch          its schema is of another version (exit code 2)
    |-- PeerFault                   another peer sent what it must not; dropped and counted
    `-- InternalError               a defect of p2pgan itself

Foreign exceptions (psycopg, zmq, sqlite3, PIL, safetensors) are translated once, at the edge
that calls the library. The message of each error is one line: what is wrong and what to do.
"""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """A trouble that people have again and again: its value is the anchor in docs/troubleshooting.md."""

    NO_WORK = "no-open-work"
    NOT_STARTED = "not-started"
    DATABASE_NAME = "database-name"
    DATABASE_PORT = "database-port"
    DATABASE_TLS = "database-tls"
    DATABASE_PASSWORD = "database-password"
    DATABASE_ROLE = "database-role"
    MEMORY = "memory"
    NAN = "nan"
    IMAGES = "other-images"
    CLOCK = "clock"
    FIREWALL = "firewall"
    RELEASE = "release"


def more_about(text: str, trouble: Trouble | None) -> str:
    """``text`` with the place where more is said, for whoever reads it."""
    return text if trouble is None else f"{text} (troubleshooting.md#{trouble})"


class P2pganError(Exception):
    """Base of all errors raised by p2pgan; its text is one line for the person at the keyboard."""

    exit_code = 1

    def __init__(self, text: str = "", trouble: Trouble | None = None) -> None:
        super().__init__(text)
        self.trouble = trouble

    @property
    def told(self) -> str:
        """The text, and where more is said about it."""
        return more_about(str(self), self.trouble)


class UserError(P2pganError):
    """Wrong use or wrong input."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration value or flag is not valid."""


class DatasetError(UserError):
    """The images are missing, unreadable, or not those of the run."""


class WeightsError(UserError):
    """Weights are corrupt, of another schema, or not finite."""


class RunError(UserError):
    """The run does not exist, is ambiguous, or has finished."""


class RendezvousError(P2pganError):
    """The database is at fault."""


class RendezvousUnavailable(RendezvousError):
    """The database cannot be reached now."""


class RendezvousRefused(RendezvousError):
    """The database refused: address, password or rights."""

    exit_code = 2


class SchemaMismatch(RendezvousError):
    """The schema in the database is of another version than this package."""

    exit_code = 2


class PeerFault(P2pganError):
    """Another peer sent something malformed or forbidden."""


class InternalError(P2pganError):
    """A defect of p2pgan: a state that must not be."""
