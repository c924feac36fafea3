"""What one peer is told when it starts: where to meet, what it runs on, how others reach it.

None of this is part of the run. What all peers of a run share is in :mod:`p2pgan.peer.config` and
stored in the rendezvous; these options stay on this machine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from p2pgan.errors import ConfigError

if TYPE_CHECKING:  # torch comes with it, and the first line comes before torch
    from p2pgan.gan.train import Callbacks

LogFormat = Literal["auto", "lines", "json"]
"""``auto`` draws on a terminal, and writes lines elsewhere."""

EMBEDDED_PREFIX = "embedded:"
MAX_NAME = 63
MAX_THREADS = 256


@dataclass(frozen=True, kw_only=True)
class PeerOptions:
    """What ``lead`` and ``join`` have in common. Raises ConfigError for values that cannot be."""

    rendezvous: str
    """A libpq DSN or ``embedded:PATH``."""
    run: str | None = None
    """Name of the run; None takes the only active one."""
    dataset: str | None = None
    """Where this machine has the images; None takes the run's own specification."""
    data_root: Path | None = None
    """Folder of the data sets that torchvision loads."""
    download: bool = False
    """Whether a missing torchvision data set may be downloaded."""
    own_net: str | None = None
    """Where this machine has the run's own net: ``path/to/file.py:CLASS``."""
    own_sharding: str | None = None
    """Where this machine has the run's own sharding: ``path/to/file.py:FUNCTION``."""
    score_extractor: Path | None = None
    """Where this machine has the TorchScript file by which the run's versions are scored."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""
    name: str = field(default_factory=socket.gethostname)
    """What people call this peer; its identity is its key."""
    state_dir: Path | None = None
    """Folder of this peer's key and journal; None takes ``default_state_dir(name)``."""
    bind: str | None = None
    """Address to listen on; None listens on loopback beside an embedded rendezvous, else everywhere."""
    advertise: str | None = None
    """Address that other peers dial; None takes the one of its default route."""
    port: int = 0
    """Control port, and the bulk port is the one after it; 0 takes two free ones."""
    shared_memory: bool = True
    """Whether payloads for peers of this machine, under the same user, lie in memory that they read."""
    threads: int | None = None
    """torch's threads; None leaves torch's own choice."""
    log_format: LogFormat = "auto"
    trackers: tuple[str, ...] = ()
    """Where numbers go besides: ``tensorboard:DIR``, ``wandb:PROJECT``, ``trackio:PROJECT``."""
    callbacks: tuple[Callbacks, ...] = ()
    """What a program that is this peer is told by; see :mod:`p2pgan.peer.watching`."""

    def __post_init__(self) -> None:
        if not self.rendezvous.strip():
            raise ConfigError("the rendezvous is empty; give a Postgres DSN or embedded:PATH")
        if "/" in self.name:
            raise ConfigError(f"the name {self.name!r} cannot be used: leave out the /")
        if not 0 < len(self.name) <= MAX_NAME or not self.name.isprintable():
            raise ConfigError(
                f"the name {self.name!r} cannot be used: give 1 to {MAX_NAME} printable characters"
            )
        if not 0 <= self.port < 65_535:
            raise ConfigError(f"port {self.port} cannot be used; give 0 for free ports, or 1 to 65534")
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise ConfigError(f"{self.threads} threads cannot train; give 1 to {MAX_THREADS}")

    @property
    def embedded(self) -> bool:
        return self.rendezvous.startswith(EMBEDDED_PREFIX)

    @property
    def bind_host(self) -> str:
        """The address to listen on."""
        if self.bind is not None:
            return self.bind
        return "127.0.0.1" if self.embedded else "0.0.0.0"

    @property
    def state_folder(self) -> Path:
        """The folder of this peer's key and journal."""
        return self.state_dir if self.state_dir is not None else default_state_dir(self.name)

    @property
    def journal_path(self) -> Path:
        """The peer's journal."""
        return self.state_folder / "journal.sqlite"


@dataclass(frozen=True, kw_only=True)
class LeadOptions(PeerOptions):
    """A peer that creates the run, or takes it up again."""

    requested: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """What was said about the run, by file and flags, as nested keys of RunConfig; nothing else.

    A new run takes it as ``run_config(requested)``; a run that exists keeps its stored configuration,
    and ``check_requested(stored, requested)`` refuses a contradiction.
    """
    conditional: bool = False
    """Whether a new run trains on the classes of its images, as many as there are."""
    largest_microbatch: bool = False
    """Whether a new run takes the largest microbatch that fits this machine's accelerator."""
    no_train: bool = False
    """Hold the pen, own shards and serve snapshots, but train nothing."""
    class_page: str | None = None
    """Where a class sees the dashboard; None invites no class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_page is not None and self.embedded:
            raise ConfigError(
                "the embedded Postgres listens on this machine only: lead a class with the DSN of a Postgres "
                "server that everybody reaches"
            )


@dataclass(frozen=True, kw_only=True)
class JoinOptions(PeerOptions):
    """A peer that joins a run."""


def default_state_dir(name: str) -> Path:
    """Folder of the key and journal of the peer ``name``, under ``$P2PGAN_STATE`` or the user's state."""
    root = os.environ.get("P2PGAN_STATE")
    if root:
        return Path(root) / name
    state_home = os.environ.get("XDG_STATE_HOME")
    base = Path(state_home) if state_home else Path.home() / ".local" / "state"
    return base / "p2pgan" / name
