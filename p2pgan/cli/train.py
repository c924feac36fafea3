"""``p2pgan train``: one process, no database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.overrides import requested

USUAL_EPOCHS = 60


def train(
    config: o.ConfigFile = None,
    dataset: o.Dataset = None,
    model: o.Model = None,
    resolution: o.Resolution = None,
    seed: o.Seed = None,
    epochs: o.Epochs = None,
    settings: o.Settings = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for sample grids and the weights.")
    ] = Path("p2pgan-out"),
    data_root: o.DataRoot = None,
    download: o.Download = False,
    device: o.Device = "auto",
    threads: o.Threads = None,
    debug: o.Debug = False,
) -> None:
    """Train in one process, without a database, with the same trainer as the peers.

    Leaves sample grids and generator.safetensors in the folder.

    Example: p2pgan train --dataset digits --epochs 60 --out digits
    """
    import torch

    from p2pgan import train as train_alone
    from p2pgan.gan.train import Callbacks, UnitStats
    from p2pgan.peer.config import run_config

    class Printer(Callbacks):
        def on_unit(self, stats: UnitStats) -> None:
            typer.echo(str(stats))

        def on_samples(self, images: int, path: Path) -> None:
            typer.echo(f"{images:,} images, samples in {path}")

    run = run_config(
        requested(
            config,
            settings,
            {
                "dataset": dataset,
                "gan.model.name": model,
                "gan.model.resolution": resolution,
                "gan.seed": seed,
                "goal.epochs": epochs,
            },
        )
    )
    if threads is not None:
        torch.set_num_threads(threads)
    trained = train_alone(
        run.gan,
        run.dataset,
        out,
        epochs=run.goal.epochs or USUAL_EPOCHS,
        device=device,
        data_root=data_root,
        download=download,
        callbacks=[Printer()],
    )
    typer.echo(f"{trained.images:,} images, weights in {trained.weights}")
