"""``p2pgan simulate``: the protocol under faults drawn by a seed, in virtual time."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.errors import ConfigError

if TYPE_CHECKING:
    from p2pgan.simulation.run import Outcome
    from p2pgan.simulation.scenario import Scenario, Sync

LAST_LINES = 40
"""Of the trace, printed when a simulation failed."""


def simulate(
    peers: Annotated[
        int | None, typer.Option("--peers", min=1, max=4096, help="How many peers. [drawn]")
    ] = None,
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="Commit at least so many.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Fixes everything that is drawn. [1]")] = None,
    churn: Annotated[
        float | None,
        typer.Option("--churn", min=0, help="Share of the peers that crash or leave in a minute."),
    ] = None,
    loss: Annotated[
        float | None, typer.Option("--loss", min=0, max=0.9, help="Share of messages that get lost.")
    ] = None,
    sync: Annotated[
        str | None,
        typer.Option("--sync", metavar="MODE", help="What is averaged: deltas, gradients or gossip."),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option("--scenario", metavar="FILE", help="Peers and faults from a file, instead."),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print faults and changes of the leader.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: o.Debug = False,
) -> None:
    """Run the protocol of a whole swarm in virtual time, and check what must always hold.

    The peers' own state machine meets a modelled network and database. With --churn or --loss just
    these faults happen, with neither of them faults of every kind. The same seed does the same again.
    A violation ends it with exit code 1, and with the shortest list of faults that still leads to one.

    Example: p2pgan simulate --peers 12 --rounds 50 --seed 7
    """
    from p2pgan.simulation.draw import draw_scenario
    from p2pgan.simulation.run import simulate as run_simulation
    from p2pgan.simulation.scenario import read_scenario
    from p2pgan.simulation.shrink import shrink

    if scenario is None:
        drawn = draw_scenario(
            1 if seed is None else seed,
            peers=peers,
            rounds=rounds or 0,
            churn=churn,
            loss=loss,
            sync=_sync(sync),
        )
    elif any(value is not None for value in (peers, rounds, seed, churn, loss, sync)):
        raise ConfigError("--scenario says everything: leave out the other flags")
    else:
        drawn = read_scenario(scenario)
    outcome = run_simulation(drawn)
    shortest = shrink(drawn) if outcome.violations else None
    if as_json:
        _print_json(outcome, shortest)
    else:
        _print(outcome, shortest, trace)
    if outcome.violations:
        raise typer.Exit(1)


def _sync(name: str | None) -> Sync:
    match name:
        case None | "deltas":
            return "deltas"
        case "gradients":
            return "gradients"
        case "gossip":
            return "gossip"
        case _:
            raise ConfigError(f"--sync {name} is unknown; choose deltas, gradients or gossip")


def _print_json(outcome: Outcome, shortest: Scenario | None) -> None:
    from msgspec import to_builtins

    typer.echo(json.dumps({**asdict(outcome), "shortest": to_builtins(shortest)}, indent=2))


def _print(outcome: Outcome, shortest: Scenario | None, trace: bool) -> None:
    from p2pgan.simulation.scenario import as_yaml

    if shortest is not None:
        typer.echo("\n".join(outcome.trace[-LAST_LINES:]))
    elif trace:
        typer.echo("\n".join(line for line in outcome.trace if _matters(line)))
    typer.echo(
        f"seed {outcome.seed}: {outcome.peers} peers, {outcome.faults} faults, {outcome.seconds:.0f} s of "
        f"virtual time; {outcome.committed} versions committed in {outcome.terms} terms, "
        f"{outcome.messages} messages, {outcome.statements} calls of the database"
    )
    for violation in outcome.violations:
        typer.echo(f"violation: {violation}")
    if shortest is None:
        typer.echo("all invariants held")
    else:
        typer.echo("still fails with these faults; save the lines below and replay them with --scenario FILE")
        typer.echo(as_yaml(shortest))


def _matters(line: str) -> bool:
    """Faults, terms and what became of them; not every round and message."""
    return not any(f" {kind}: " in line for kind in ("round", "peer", "training", "commit", "catch-up"))
