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
from p2pgan.cli.beside import dashboard_beside
from p2pgan.cli.interrupt import asked_to_end
from p2pgan.cli.listing import print_lines
from p2pgan.cli.overrides import Layer, layers, overlaid
from p2pgan.cli.shown import DEFAULT, print_config
from p2pgan.cli.sources import from_environment
from p2pgan.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from p2pgan.lab.lab import LabOptions
    from p2pgan.lab.report import LabReport
    from p2pgan.lab.scenario import Scenario

FAILED, INTERRUPTED = 1, 130


def lab(
    context: typer.Context,
    peers: Annotated[
        int | None, typer.Option("--peers", min=1, max=64, help="Peers at the start. [3]")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", help="How long to train, once all peers of the start take part. [3]"),
    ] = None,
    versions: Annotated[
        int | None, typer.Option("--versions", min=1, help="Train until so many versions are committed.")
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            metavar="NAME|FILE",
            help="Faults and their times: kill-leader, late-joiner, restart-everything, ... or a YAML file.",
        ),
    ] = None,
    rendezvous: Annotated[
        str | None,
        typer.Option("--rendezvous", metavar="DSN", help="A Postgres of your own. [an embedded one]"),
    ] = None,
    dataset: o.Dataset = None,
    config: o.ConfigFile = None,
    preset: o.Preset = None,
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
    dashboard: Annotated[
        bool,
        typer.Option("--dashboard/--no-dashboard", help="Show the run live in a browser on this machine."),
    ] = True,
    show_config: o.ShowConfig = False,
    dry_run: o.DryRun = False,
    debug: o.Debug = False,
) -> None:
    """Train with several real peers on this machine, and draw a picture in the end.

    Peers are separate processes that meet in an embedded Postgres. With a scenario, faults happen to
    them; the report says what followed, and the history is audited. Ctrl-C ends it early: the peers
    leave in order, and the report tells of what there was.

    Example: p2pgan lab --peers 4 --scenario kill-leader --json report.json
    """
    from p2pgan.lab.choose import choose_scenario
    from p2pgan.lab.lab import LabOptions
    from p2pgan.peer.config import run_config

    _check_report(json_report)
    chosen = choose_scenario(scenario, peers, minutes, versions)
    flags = layers(
        config,
        settings,
        {
            "dataset": dataset,
            "gan.model.name": model,
            "gan.model.resolution": resolution,
            "gan.seed": seed,
        },
        preset,
        from_environment(context),
    )
    said = [Layer(f"scenario {chosen.name}", chosen.config), *flags]
    if show_config:
        print_config(context, said, _length(chosen))
        return
    began = datetime.now()
    wanted = run_config(overlaid(said))
    lab_options = LabOptions(
        scenario=chosen,
        out=out if out is not None else Path(f"lab-out-{began:%Y%m%d-%H%M%S}"),
        rendezvous=rendezvous,
        run=f"lab-{began:%Y%m%d-%H%M%S}",
        dataset=wanted.dataset,
        requested=overlaid(said),
        command=shlex.join(["p2pgan", *sys.argv[1:]]),
        page=dashboard_beside if dashboard else None,
    )
    if dry_run:
        from p2pgan.lab.dry_run import dry_run_lab
        from p2pgan.peer.dry_run import nets_and_images

        print_lines(dry_run_lab(lab_options, nets_and_images(wanted)))
        return
    _play(lab_options, json_report)


def _check_report(file: Path | None) -> None:
    """Raises ConfigError for a file that the report could not be written to in the end."""
    if file is not None and not file.absolute().parent.is_dir():
        raise ConfigError(f"the folder of {file} does not exist; make it, or choose another --json")
    if file is not None and file.is_dir():
        raise ConfigError(f"{file} is a folder; name a file with --json")


def _length(chosen: Scenario) -> dict[str, tuple[object, str]]:
    """Peers and length as they will be, and whether the scenario said so, where no flag does."""
    said = chosen.model_fields_set if chosen.name else frozenset[str]()
    return {
        name: (getattr(chosen, name), f"scenario {chosen.name}" if name in said else DEFAULT)
        for name in ("peers", "minutes", "versions")
    }


def _play(options: LabOptions, json_report: Path | None) -> None:
    from rich.console import Console

    from p2pgan.lab.run import run_lab
    from p2pgan.lab.view import View

    # An end by `kill` or by a terminal that closes cleans up like Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, signal.default_int_handler)
    console = Console(highlight=False)
    report = run_lab(options, View(console), asked_to_end)
    if json_report is not None:
        try:
            json_report.write_text(report.as_json(), encoding="utf-8")
        except OSError as error:
            kept = options.out / "report.json"
            raise ConfigError(
                f"{json_report} cannot be written ({error.strerror}); the same is in {kept}"
            ) from error
    _print_outcome(console, report, options.out)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not report.passed:
        raise typer.Exit(FAILED)


def _print_outcome(console: Console, report: LabReport, folder: Path) -> None:
    from p2pgan.lab.report import TABLE_HEAD

    for failure in report.failures:
        console.print(f"failed: {failure}", markup=False)
    if report.faults:
        row = report.recovery.row(report.scenario or "-")
        console.print(f"{TABLE_HEAD}\n{row}", soft_wrap=True, markup=False)
    console.print(f"report:  {folder / 'report.md'}", soft_wrap=True)
    console.print(f"picture: {report.picture or 'none'}", soft_wrap=True)
