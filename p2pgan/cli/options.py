"""The options that several commands share, so that one flag means one thing everywhere."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from p2pgan.errors import ConfigError
from p2pgan.peer.options import MAX_THREADS, LogFormat

PEER = "This machine"
RUN = "The run's configuration"
USUAL_LIMIT, MOST_LISTED = 20, 10_000
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|\*")


def host(value: str | None) -> str | None:
    """An address without a port, IPv6 without brackets. Raises ConfigError for what cannot be one."""
    if value is None:
        return None
    bare = value.removeprefix("[").removesuffix("]") if value.startswith("[") else value
    if "://" in value:
        raise ConfigError(f"{value!r} is not a host: leave out what is before and after its name or address")
    if re.fullmatch(r"[^:]*:[0-9]*|\[.*\]:[0-9]*", value):
        raise ConfigError(f"{value!r} is not a host: leave out the port; that of a peer is said with --port")
    try:
        ip_address(bare)
    except ValueError:
        if not _HOST_NAME.fullmatch(bare):
            raise ConfigError(f"{value!r} is not a host: give a name or an IP address") from None
    return bare


def option(flag: str, **settings: Any) -> Any:  # Any: as typer.Option has it
    """An option that a variable of the environment can say as well: ``P2PGAN_DATA_ROOT`` for ``--data-root``.

    For flags that mean the same in every command, so that a machine or a service can be set up with them.
    """
    return typer.Option(flag, envvar=variable(flag), **settings)


def variable(flag: str) -> str:
    """The variable that stands for a flag."""
    return "P2PGAN_" + flag.removeprefix("--").upper().replace("-", "_")


Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

_RENDEZVOUS = option(
    "--rendezvous",
    metavar="DSN",
    help="Postgres DSN, such as postgresql://user:password@host/database, or embedded:PATH.",
)
Rendezvous = Annotated[str, _RENDEZVOUS]
OptionalRendezvous = Annotated[str | None, _RENDEZVOUS]
RunName = Annotated[
    str | None,
    option("--run", metavar="NAME", help="Name of the run; left out, the only active one."),
]
AsArray = Annotated[bool, typer.Option("--json", help="Print a JSON array.")]
Limit = Annotated[
    int,
    typer.Option("--limit", metavar="N", min=1, max=MOST_LISTED, help="How many at most, the newest last."),
]
NewRunName = Annotated[
    str | None,
    option(
        "--run",
        metavar="NAME",
        help="Name of the run; left out, the only active one, or a new one called gan.",
    ),
]
Dataset = Annotated[
    str | None,
    option(
        "--dataset",
        metavar="SPEC",
        help="digits, mnist, fashion-mnist, cifar10, celeba, folder:PATH or zip:PATH.",
    ),
]
DataRoot = Annotated[
    Path | None,
    option("--data-root", metavar="DIR", help="Where torchvision's data sets lie.", rich_help_panel=PEER),
]
Download = Annotated[
    bool,
    option("--download", help="Download a missing torchvision data set.", rich_help_panel=PEER),
]
Device = Annotated[
    str,
    option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=PEER),
]
Threads = Annotated[
    int | None,
    option(
        "--threads",
        metavar="N",
        min=1,
        max=MAX_THREADS,
        help="Processor threads for training.",
        rich_help_panel=PEER,
    ),
]
PeerName = Annotated[
    str | None,
    option(
        "--name",
        metavar="NAME",
        help="What people call this peer; left out, this machine's name.",
        rich_help_panel=PEER,
    ),
]
StateDir = Annotated[
    Path | None,
    option("--state-dir", metavar="DIR", help="This peer's key and journal.", rich_help_panel=PEER),
]
Bind = Annotated[
    str | None,
    option("--bind", metavar="HOST", callback=host, help="Address to listen on.", rich_help_panel=PEER),
]
Advertise = Annotated[
    str | None,
    option(
        "--advertise",
        metavar="HOST",
        callback=host,
        help="Address that other peers dial, without a port.",
        rich_help_panel=PEER,
    ),
]
Port = Annotated[
    int,
    option(
        "--port",
        metavar="N",
        min=0,
        max=65_534,
        help="Control port, bulk is the next; 0: any free.",
        rich_help_panel=PEER,
    ),
]
NoSharedMemory = Annotated[
    bool,
    option(
        "--no-shared-memory",
        help="Send everything sealed, also to peers of this machine.",
        rich_help_panel=PEER,
    ),
]
LogForm = Annotated[
    LogFormat,
    option("--log", help="auto: live on a terminal, else lines.", rich_help_panel=PEER),
]
Trackers = Annotated[
    list[str] | None,
    option(
        "--track",
        metavar="WHERE",
        help="Also write losses to tensorboard:DIR, wandb:PROJECT or trackio:PROJECT; may be repeated.",
        rich_help_panel=PEER,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would happen, and do none of it."),
]

ShowConfig = Annotated[
    bool,
    typer.Option("--show-config", help="Print every value and where it came from, and do nothing else."),
]

ConfigFile = Annotated[
    Path | None,
    option("--config", metavar="FILE", help="Run configuration, YAML.", rich_help_panel=RUN),
]
Settings = Annotated[
    list[str] | None,
    option(
        "--set",
        metavar="KEY=VALUE",
        help="Any value of the configuration, such as gan.model.width=64; may be repeated.",
        rich_help_panel=RUN,
    ),
]
Preset = Annotated[
    str | None,
    option(
        "--preset",
        metavar="NAME",
        help="Nets, loss and optimizer that belong together: p2p (as without), classic or modern.",
        rich_help_panel=RUN,
    ),
]
ScoreEvery = Annotated[
    int | None,
    option(
        "--score-every",
        metavar="K",
        min=0,
        help="Score drawn images every K versions, and keep the best one's weights; 0: never.",
        rich_help_panel=RUN,
    ),
]
ScoreExtractor = Annotated[
    Path | None,
    option(
        "--score-extractor",
        metavar="FILE",
        help="Score by this TorchScript file, whose code is run, and not by the built-in classifier.",
        rich_help_panel=PEER,
    ),
]
Model = Annotated[
    str | None,
    option(
        "--model",
        metavar="NAME",
        help="The nets: dcgan, mlp, resnet, r3, or an own one as path/to/file.py:CLASS.",
        rich_help_panel=RUN,
    ),
]
OwnNet = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="FILE:CLASS",
        help="Where this machine has the run's own net, as path/to/file.py:CLASS; needed for no other net.",
    ),
]
Sharding = Annotated[
    str | None,
    option(
        "--sharding",
        metavar="NAME",
        help="Which images go to different peers: iid, by-class, or an own one as path/to/file.py:FUNCTION.",
        rich_help_panel=RUN,
    ),
]
OwnSharding = Annotated[
    str | None,
    typer.Option(
        "--sharding",
        metavar="FILE:FUNCTION",
        help="Where this machine has the run's own sharding; needed for no other one.",
    ),
]
Resolution = Annotated[
    int | None,
    option("--resolution", metavar="PIXELS", help="Of each side: 32, 64 or 128.", rich_help_panel=RUN),
]
Conditional = Annotated[
    bool,
    option("--conditional", help="Train on the classes of the images, one folder each.", rich_help_panel=RUN),
]
LossName = Annotated[
    str | None,
    option("--loss", metavar="NAME", help="bce, hinge, wgan-gp or rp.", rich_help_panel=RUN),
]
AugmentKinds = Annotated[
    str | None,
    option(
        "--augment",
        metavar="KINDS",
        help="Change images before D sees them: color, translation, cutout, with commas between them.",
        rich_help_panel=RUN,
    ),
]
HoldOut = Annotated[
    bool,
    option(
        "--hold-out", help="Keep 1% of the images back, to see what D learns by heart.", rich_help_panel=RUN
    ),
]
BatchSize = Annotated[
    str | None,
    option(
        "--batch-size",
        metavar="N|auto",
        help="Images that pass through the nets at once; auto: as many as a GPU's memory holds.",
        rich_help_panel=RUN,
    ),
]
Accumulate = Annotated[
    int | None,
    option("--accumulate", metavar="N", min=1, help="Such batches that make one step.", rich_help_panel=RUN),
]
PrecisionName = Annotated[
    str | None,
    option("--precision", metavar="NAME", help="fp32, bf16, fp16 or auto.", rich_help_panel=RUN),
]
AUTO = "auto"


def batch_size(value: str | None) -> int | None:
    """The number, or None where it is left to the device. Raises ConfigError if it is neither."""
    if value is None or value == AUTO:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise ConfigError(f"--batch-size {value} is no number of images; give a number above 0, or auto")
    return int(value)


def augment_kinds(value: str | None) -> list[str] | None:
    """The kinds in a list with commas."""
    return None if value is None else [kind.strip() for kind in value.split(",") if kind.strip()]


Seed = Annotated[int | None, option("--seed", metavar="N", help="Seed of the run.", rich_help_panel=RUN)]
Epochs = Annotated[
    int | None,
    option(
        "--epochs", metavar="N", min=1, help="End after so many passes over the data.", rich_help_panel=RUN
    ),
]
CodecName = Annotated[
    str | None,
    option(
        "--codec",
        metavar="NAME",
        help="Numbers on the wire: fp16, fp32, bf16, int8, topk, or auto, by measured bandwidth.",
        rich_help_panel=RUN,
    ),
]
Sync = Annotated[
    str | None,
    option(
        "--sync",
        metavar="MODE",
        help="What is averaged: deltas (how far the nets moved in a round), gradients (every step), or "
        "gossip (deltas, with weights mixed in small groups between two rounds).",
        rich_help_panel=RUN,
    ),
]
Aggregation = Annotated[
    str | None,
    option(
        "--aggregation",
        metavar="RULE",
        help="How contributions become one: clip, mean, trimmed-mean, median, multi-krum or centered-clip.",
        rich_help_panel=RUN,
    ),
]
