"""A lab from its options to its report."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from p2pgan.errors import ConfigError
from p2pgan.lab.collect import collect
from p2pgan.lab.faults import Injector
from p2pgan.lab.fleet import Fleet
from p2pgan.lab.lab import Lab, LabOptions
from p2pgan.lab.report import LabReport
from p2pgan.lab.view import View
from p2pgan.rendezvous import EmbeddedPostgres, open_rendezvous


def run_lab(options: LabOptions, view: View) -> LabReport:
    """Runs a lab to its end and leaves its report, pictures and logs in ``options.out``.

    Raises:
        ConfigError: the folder is in use, or the scenario needs an embedded Postgres.
        P2pganError: the run did not begin.
    """
    _claim(options.out)
    with ExitStack() as stack:
        postgres, dsn = _rendezvous(options, stack)
        database = stack.enter_context(open_rendezvous(dsn))
        fleet = stack.enter_context(Fleet(options.out, dsn, options.run, _peer_arguments(options)))
        stack.enter_context(view)
        lab = Lab(options, fleet, database, Injector(options.scenario.faults, fleet, postgres), view)
        lab.start()
        lab.watch()
        lab.end()
        lab.draw(options.out / "generated.png")
        return collect(lab)


def _claim(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise ConfigError(f"the folder {out} is not empty; choose another with --out")
    except OSError as error:
        raise ConfigError(f"the folder {out} cannot be used: {error.strerror}; choose another") from error


def _peer_arguments(options: LabOptions) -> tuple[str, ...]:
    # All peers are on this machine, so loopback is enough; they share its cores, so one thread each.
    return ("--dataset", options.dataset, "--bind", "127.0.0.1", "--advertise", "127.0.0.1", "--threads", "1")


def _rendezvous(options: LabOptions, stack: ExitStack) -> tuple[EmbeddedPostgres | None, str]:
    """The DSN that the peers get, and the embedded Postgres behind it unless the user has one."""
    if options.rendezvous is None:
        postgres = stack.enter_context(EmbeddedPostgres(options.out / "postgres"))
        return postgres, postgres.dsn
    if options.scenario.moves_postgres:
        raise ConfigError("this scenario stops Postgres; leave --rendezvous out, for an embedded one")
    return None, options.rendezvous
