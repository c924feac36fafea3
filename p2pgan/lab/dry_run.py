"""What ``p2pgan lab`` would do, for ``--dry-run``: nothing is made and nobody is started."""

from __future__ import annotations

from collections.abc import Iterator

from p2pgan.lab.lab import LabOptions
from p2pgan.lab.run import check_lab
from p2pgan.lab.scenario import Scenario
from p2pgan.protocol.texts import counted


def dry_run_lab(options: LabOptions, trained: str) -> Iterator[str]:
    """What a lab would do, line by line; ``trained``: which nets on which images, in words.

    Raises:
        P2pganError: what would stop it.
    """
    check_lab(options)
    scenario = options.scenario
    where = f"in {options.out / 'postgres'}" if options.rendezvous is None else "of your own"
    yield f"start {counted(scenario.peers, 'peer')} on this machine, that meet in a Postgres {where}"
    yield f"train {trained}, {_until(scenario)}"
    for name, seconds in scenario.clocks.items():
        yield f"have the clock of {name} {seconds:g} s fast"
    for fault in scenario.faults:
        yield f"{fault} {fault.when}"
    if options.page is not None:
        yield "show the run live in a browser"
    yield f"leave a report, pictures and logs in {options.out}"


def _until(scenario: Scenario) -> str:
    minutes, versions = scenario.minutes, scenario.versions
    ends = [f"for {minutes:g} min once all of them take part"] if minutes is not None else []
    ends += [f"until version {versions}"] if versions is not None else []
    ends += ["until the run has recovered from all faults"] if scenario.until_recovered else []
    return " or ".join(ends)
