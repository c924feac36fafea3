"""The options that several commands share, so that one flag means one thing everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from p2pgan.peer.options import LogFormat

PEER = "This machine"
RUN = "The run's configuration"

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

_RENDEZVOUS = typer.Option(
    "--rendezvous",
    metavar="DSN",
    envvar="P2PGAN_RENDEZVOUS",
    help="Postgres DSN, such as postgresql://user:password@host/database, or embedded:PATH.",
)
Rendezvous = Annotated[str, _RENDEZVOUS]
OptionalRendezvous = Annotated[str | None, _RENDEZVOUS]
RunName = Annotated[
    str | None,
    typer.Option("--run", metavar="NAME", help="Name of the run; left out, the only active one."),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="SPEC",
        help="digits, mnist, fashion-mnist, cifar10, celeba, folder:PATH or zip:PATH.",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", metavar="DIR", help="Where torchvision's data sets lie.", rich_help_panel=PEER
    ),
]
Download = Annotated[
    bool,
    typer.Option("--download", help="Download a missing torchvision data set.", rich_help_panel=PEER),
]
Device = Annotated[
    str,
    typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=PEER),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Processor threads for training.", rich_help_panel=PEER),
]
PeerName = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="What people call this peer; left out, this machine's name.",
        rich_help_panel=PEER,
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="This peer's key and journal.", rich_help_panel=PEER),
]
Bind = Annotated[
    str | None,
    typer.Option("--bind", metavar="HOST", help="Address to listen on.", rich_help_panel=PEER),
]
Advertise = Annotated[
    str | None,
    typer.Option("--advertise", metavar="HOST", help="Address that other peers dial.", rich_help_panel=PEER),
]
Port = Annotated[
    int,
    typer.Option(
        "--port", min=0, max=65_534, help="Control port, bulk is the next; 0: any free.", rich_help_panel=PEER
    ),
]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option("--log-format", help="How log lines look.", rich_help_panel=PEER),
]

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Run configuration, YAML.", rich_help_panel=RUN),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any value of the configuration, such as gan.model.width=64; may be repeated.",
        rich_help_panel=RUN,
    ),
]
Model = Annotated[str | None, typer.Option("--model", help="The nets: dcgan or mlp.", rich_help_panel=RUN)]
Resolution = Annotated[
    int | None, typer.Option("--resolution", help="Pixels per side: 32 or 64.", rich_help_panel=RUN)
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the run.", rich_help_panel=RUN)]
Epochs = Annotated[
    int | None,
    typer.Option("--epochs", min=1, help="End after so many passes over the data.", rich_help_panel=RUN),
]
Aggregation = Annotated[
    str | None,
    typer.Option(
        "--aggregation",
        metavar="RULE",
        help="How deltas become one: clip, mean, trimmed-mean, median, multi-krum or centered-clip.",
        rich_help_panel=RUN,
    ),
]
