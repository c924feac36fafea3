"""A lab from its options to its report."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from p2pgan.errors import ConfigError, P2pganError
from p2pgan.gan.config import file_of_own_net, file_of_own_sharding
from p2pgan.gan.output import check_folder, disk_is_full, is_full
from p2pgan.gan.sources import open_source
from p2pgan.lab.clocks import check_clocks
from p2pgan.lab.collect import collect
from p2pgan.lab.disks import SmallDisks, check_disks
from p2pgan.lab.faults import Injector
from p2pgan.lab.fleet import Fleet
from p2pgan.lab.lab import Lab, LabOptions
from p2pgan.lab.network import LabNetwork, check_network
from p2pgan.lab.report import LabReport
from p2pgan.lab.surroundings import Surroundings
from p2pgan.lab.view import View
from p2pgan.rendezvous import EmbeddedPostgres, open_rendezvous

ROOM_BYTES = 100_000_000
"""An empty cluster and the log of a small run; more is seen while it runs."""


def run_lab(
    options: LabOptions, view: View, interruptible: Callable[[], AbstractContextManager[threading.Event]]
) -> LabReport:
    """Runs a lab to its end and leaves its report, pictures and logs in ``options.out``.

    Within ``interruptible``, entered once the run has begun, an interrupt sets the event that it gives:
    then the lab ends early and in order, with a report. Before that an interrupt just ends it.

    Raises:
        ConfigError: the folder is in use, or the scenario needs an embedded Postgres.
        DatasetError: there are no such images.
        P2pganError: the run did not begin, or the disk is full; no process is left.
    """
    check_lab(options)
    try:
        return _run(options, view, interruptible)
    except OSError as error:
        if is_full(error):
            raise disk_is_full(options.out) from error
        raise


def _run(
    options: LabOptions, view: View, interruptible: Callable[[], AbstractContextManager[threading.Event]]
) -> LabReport:
    with ExitStack() as stack:
        postgres, dsn = _rendezvous(options, stack)
        database = stack.enter_context(open_rendezvous(dsn))
        options.out.mkdir(parents=True, exist_ok=True)
        surroundings = _surroundings(options, dsn, postgres, stack)
        stack.enter_context(view)
        if options.page is not None:
            view.note(0, f"dashboard: {stack.enter_context(options.page(dsn))}")
        injector = Injector(options.scenario.faults, surroundings)
        lab = Lab(options, surroundings.fleet, database, injector, view)
        try:
            lab.start()
        except KeyboardInterrupt:
            view.note(lab.elapsed_s, "interrupted before the run began: the peers are killed")
            raise
        asked = stack.enter_context(interruptible())
        lab.gather(asked.is_set)
        lab.watch(asked.is_set)
        lab.end()
        lab.draw(options.out / "generated.png")
        return collect(lab)


def check_lab(options: LabOptions) -> None:
    """Refuses what cannot go well before anything is made. Raises what ``run_lab`` does."""
    if options.rendezvous is not None and options.scenario.moves_postgres:
        raise ConfigError("this scenario stops Postgres; leave --rendezvous out, for an embedded one")
    if options.scenario.moves_network:
        check_network()
    if options.scenario.moves_disks:
        check_disks()
    if options.scenario.clocks:
        check_clocks()
    check_folder(options.out)
    if options.out.is_dir() and any(options.out.iterdir()):
        raise ConfigError(f"the folder {options.out} is not empty; choose another with --out")
    place = next(place for place in (options.out, *options.out.absolute().parents) if place.exists())
    if shutil.disk_usage(place).free < ROOM_BYTES:
        raise P2pganError(
            f"a lab needs {ROOM_BYTES // 10**6} MB on the disk of {options.out}: "
            "free space, or choose another --out"
        )
    open_source(options.dataset)


def _surroundings(
    options: LabOptions, dsn: str, postgres: EmbeddedPostgres | None, stack: ExitStack
) -> Surroundings:
    """The fleet, with the network and the disks that the scenario moves."""
    scenario = options.scenario
    disks = stack.enter_context(SmallDisks()) if scenario.moves_disks else None
    network = (
        stack.enter_context(LabNetwork(dsn, lambda: fleet.process_ids())) if scenario.moves_network else None
    )
    net, sharding = file_of_own_net(options.requested), file_of_own_sharding(options.requested)
    own = (*(("--model", net) if net else ()), *(("--sharding", sharding) if sharding else ()))
    fleet = Fleet(
        options.out,
        dsn,
        options.run,
        # They share the machine's cores, so one thread each.
        ("--dataset", options.dataset, "--threads", "1", *own),
        network=network,
        disks=disks,
        clocks=scenario.clocks,
    )
    stack.enter_context(fleet)
    return Surroundings(fleet, postgres, network, disks)


def _rendezvous(options: LabOptions, stack: ExitStack) -> tuple[EmbeddedPostgres | None, str]:
    """The DSN that the peers get, and the embedded Postgres behind it unless the user has one."""
    if options.rendezvous is None:
        postgres = stack.enter_context(EmbeddedPostgres(options.out / "postgres"))
        return postgres, postgres.dsn
    return None, options.rendezvous
