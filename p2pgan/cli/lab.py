"""``p2pgan lab``: real peers on this machine, with faults if a scenario names them."""

from __future__ import annotations

import shlex
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.overrides import requested
from p2pgan.errors import ConfigError

if TYPE_CHECKING:
    from p2pgan.lab.scenario import Scenario

USUAL_MINUTES = 3.0


def lab(
    peers: Annotated[
        int | None, typer.Option("--peers", min=1, max=64, help="Peers at the start. [3]")
    ] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="How long to train. [3]")] = None,
    versions: Annotated[
        int | None, typer.Option("--versions", min=1, help="Train until so many versions are committed.")
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option("--scenario", metavar="FILE", help="Faults and their times, YAML.")
    ] = None,
    rendezvous: Annotated[
        str | None,
        typer.Option("--rendezvous", metavar="DSN", help="A Postgres of your own. [an embedded one]"),
    ] = None,
    dataset: o.Dataset = None,
    config: o.ConfigFile = None,
    model: o.Model = None,
    resolution: o.Resolution = None,
    seed: o.Seed = None,
    settings: o.Settings = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where everything goes. [lab-out-TIME]")
    ] = None,
    json_report: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the report as JSON here.")
    ] = None,
    debug: o.Debug = False,
) -> None:
    """Train with several real peers on this machine, and draw a picture in the end.

    Peers are separate processes that meet in an embedded Postgres. With a scenario, faults happen to
    them; the report says what followed, and the history is audited.

    Example: p2pgan lab --peers 4 --scenario scripts/labs/kill-leader.yaml --json report.json
    """
    from rich.console import Console

    from p2pgan.lab.lab import LabOptions
    from p2pgan.lab.run import run_lab
    from p2pgan.lab.view import View
    from p2pgan.peer.config import merge, run_config

    if json_report is not None and not json_report.absolute().parent.is_dir():
        raise ConfigError(f"the folder of {json_report} does not exist; make it, or choose another --json")
    played = _scenario(scenario, peers, minutes, versions)
    flags = requested(
        config,
        settings,
        {
            "dataset": dataset,
            "gan.model.name": model,
            "gan.model.resolution": resolution,
            "gan.seed": seed,
        },
    )
    said = merge(played.config, flags)
    began = datetime.now()
    console = Console(highlight=False)
    # An end by `kill` or by a terminal that closes cleans up like Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    folder = out if out is not None else Path(f"lab-out-{began:%Y%m%d-%H%M%S}")
    report = run_lab(
        LabOptions(
            scenario=played,
            out=folder,
            rendezvous=rendezvous,
            run=f"lab-{began:%Y%m%d-%H%M%S}",
            dataset=run_config(said).dataset,
            requested=said,
            command=shlex.join(["p2pgan", *sys.argv[1:]]),
        ),
        View(console),
    )
    if json_report is not None:
        json_report.write_text(report.as_json(), encoding="utf-8")
    for failure in report.failures:
        console.print(f"failed: {failure}", markup=False)
    if report.faults:
        console.print(f"faults:  {report.recovery}", soft_wrap=True)
    console.print(f"report:  {folder / 'report.md'}", soft_wrap=True)
    console.print(f"picture: {report.picture or 'none'}", soft_wrap=True)
    if not report.passed:
        raise typer.Exit(1)


def _scenario(path: Path | None, peers: int | None, minutes: float | None, versions: int | None) -> Scenario:
    """The scenario with the flags on top; a flag for the length replaces the scenario's own."""
    from p2pgan.lab.scenario import parse_scenario, read_scenario

    base = read_scenario(path) if path is not None else parse_scenario({})
    values = base.model_dump(exclude_none=True)
    if minutes is not None or versions is not None:
        values = {key: value for key, value in values.items() if key not in {"minutes", "versions"}}
    given = {"peers": peers, "minutes": minutes, "versions": versions}
    values |= {key: value for key, value in given.items() if value is not None}
    if "minutes" not in values and "versions" not in values:
        values["minutes"] = USUAL_MINUTES
    return parse_scenario(values)
