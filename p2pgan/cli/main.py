"""The entry point: parses, runs one command, and turns every error into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from p2pgan.cli import (
    audit,
    dashboard,
    doctor,
    events,
    export,
    generate,
    invite,
    join,
    lab,
    lead,
    log,
    peers,
    publish,
    revoke,
    rollback,
    score,
    simulate,
    status,
    train,
    versions,
)
from p2pgan.cli.help import Command, Group
from p2pgan.cli.options import Debug
from p2pgan.errors import P2pganError
from p2pgan.peer.departure import INTERRUPTED
from p2pgan.peer.output import Output, open_standard_streams
from p2pgan.protocol.texts import printable

FAILED = 1
WRONG_USE = 2

app = typer.Typer(
    name="p2pgan",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    cls=Group,
)
for command in (
    lead.lead,
    join.join,
    generate.generate,
    score.score,
    status.status,
    dashboard.dashboard,
    export.export,
    publish.publish,
    rollback.rollback,
    train.train,
    lab.lab,
    simulate.simulate,
    audit.audit,
    invite.invite,
    revoke.revoke,
    peers.peers,
    doctor.doctor,
    versions.versions,
    events.events,
    log.log,
):
    app.command(cls=Command)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"p2pgan {version('p2pgan')}")
        raise typer.Exit


@app.callback()
def p2pgan(
    debug: Debug = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One GAN trained together by peers, over ZeroMQ, met in Postgres.

    Start with [bold]p2pgan lab[/bold]: three peers on this machine, a few minutes, a picture.
    """


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code: 0 done, 1 failed, 2 wrong use.

    Without arguments it prints the help, and fails: nothing was asked for.
    """
    debug = "--debug" in arguments
    try:
        outcome = app(list(arguments) or ["--help"], prog_name="p2pgan", standalone_mode=False)
    except P2pganError as error:
        return _report(error.told, error.exit_code, debug)
    except typer.TyperException as error:
        return _report(
            f"{error.format_message()} (see p2pgan {_command(arguments)}--help)", error.exit_code, debug
        )
    except (KeyboardInterrupt, typer.Abort):
        return _report("interrupted", INTERRUPTED, debug)
    except Exception as error:  # the one place where a defect ends: it must not show a traceback unasked
        what = f"{type(error).__name__}: {error}"
        return _report(
            f"this is a defect of p2pgan, run again with --debug to see where: {what}", FAILED, debug
        )
    if not arguments:
        return WRONG_USE
    return outcome if isinstance(outcome, int) else 0


def main() -> NoReturn:
    """Runs the command line of this process and exits."""
    open_standard_streams()
    code = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done; the end need not say more
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed before the process began
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it, or the disk is full: something was not said
            code = code or FAILED
    # Every command has closed what it opened. The interpreter's own end would go through all of torch, for
    # a second or on a busy machine many, and have libraries below it (triton) complain of what they leaked.
    os._exit(code)


def _report(text: str, exit_code: int, debug: bool) -> int:
    stderr = Output(sys.stderr)
    if debug:
        stderr.line(traceback.format_exc())
    stderr.line(f"p2pgan: {printable(' '.join(text.split()))}")
    return exit_code


def _command(arguments: Sequence[str]) -> str:
    names = {command.callback.__name__ for command in app.registered_commands if command.callback}
    return next((f"{word} " for word in arguments if word in names), "")
