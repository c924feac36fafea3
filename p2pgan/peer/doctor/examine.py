"""All checks in the order in which people read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from p2pgan.errors import ConfigError, RendezvousUnavailable
from p2pgan.peer.doctor.database import database_findings, find_run
from p2pgan.peer.doctor.finding import Finding
from p2pgan.peer.doctor.images import image_findings, place_findings
from p2pgan.peer.doctor.machine import resource_findings, state_findings
from p2pgan.peer.doctor.network import network_findings
from p2pgan.peer.doctor.reach import reach_findings
from p2pgan.peer.doctor.versions import device_findings, programs_findings, version_findings
from p2pgan.peer.options import JoinOptions
from p2pgan.protocol.ids import PeerId
from p2pgan.rendezvous import Rendezvous, RunRow, open_rendezvous
from p2pgan.rendezvous.translation import NoCluster


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What a peer would be started with."""

    rendezvous: str | None = None
    """A libpq DSN or ``embedded:PATH``; None leaves the database out."""
    run: str | None = None
    dataset: str | None = None
    """None: only whether there are images where the run says."""
    data_root: Path | None = None
    own_sharding: str | None = None
    """Where this machine has the run's own sharding."""
    state_folder: Path
    bind_host: str
    advertise: str | None = None
    port: int = 0
    dial_back: JoinOptions | None = None
    """As whom to have others dial back; None: they are not asked."""


def examine(patient: Patient) -> Iterator[Finding]:
    """Findings as they come; nothing is made or changed, but for what it takes to be dialled back.

    Raises:
        RendezvousRefused: the DSN is not valid.
        ConfigError: the rendezvous is no folder.
    """
    with ExitStack() as stack:
        findings: list[Finding] = []
        database = None if patient.rendezvous is None else _opened(stack, patient.rendezvous, findings)
        yield from version_findings()
        yield from programs_findings()
        yield from device_findings()
        yield from resource_findings()
        yield from state_findings(patient.state_folder)
        yield from network_findings(patient.bind_host, patient.port, patient.advertise)
        yield from findings
        run: RunRow | None = None
        if database is not None:
            found = database_findings(database)
            if len(found) > 1:  # there is a connection
                run, of_run = find_run(database, patient.run)
                found += of_run
                if run is not None and run.state == "active":
                    found += reach_findings(database, run, _identity(patient.state_folder))
            yield from found
        if patient.dial_back is not None and run is not None and run.state == "active":
            yield from _dialled_back(patient.dial_back, run, _identity(patient.state_folder))
        if patient.dataset is not None:
            yield from image_findings(patient.dataset, patient.data_root, run, patient.own_sharding)
        elif run is not None and run.state == "active":
            yield from place_findings(patient.data_root, run)


def _dialled_back(options: JoinOptions, run: RunRow, me: PeerId | None) -> list[Finding]:
    """Over a connection that may write."""
    from p2pgan.peer.doctor.back import back_findings

    with open_rendezvous(options.rendezvous) as database:
        return back_findings(database, run, me, options)


def _identity(folder: Path) -> PeerId | None:
    """The key in the folder; a damaged one is a finding of its own."""
    from p2pgan.transport.curve import find_keys

    with suppress(ConfigError):
        keys = find_keys(folder)
        return None if keys is None else keys.public
    return None


def _opened(stack: ExitStack, place: str, findings: list[Finding]) -> Rendezvous | None:
    """The rendezvous, or None and a finding that says why."""
    try:
        return stack.enter_context(open_rendezvous(place, read_only=True))
    except NoCluster as error:
        findings.append(Finding("database", "note", error.told))
    except RendezvousUnavailable as error:
        findings.append(Finding("database", "mend", error.told))
    return None
