"""``p2pgan train``: one process, no database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.interrupt import asked_to_end
from p2pgan.cli.listing import print_lines
from p2pgan.cli.overrides import layers, overlaid
from p2pgan.cli.sources import from_environment
from p2pgan.cli.warnings import warn_of_run_settings

if TYPE_CHECKING:
    from p2pgan.gan.train import Trained

USUAL_EPOCHS = 60


def train(
    context: typer.Context,
    config: o.ConfigFile = None,
    dataset: o.Dataset = None,
    preset: o.Preset = None,
    model: o.Model = None,
    resolution: o.Resolution = None,
    conditional: o.Conditional = False,
    loss: o.LossName = None,
    augment: o.AugmentKinds = None,
    hold_out: o.HoldOut = False,
    sharding: o.Sharding = None,
    batch_size: o.BatchSize = None,
    accumulate: o.Accumulate = None,
    precision: o.PrecisionName = None,
    seed: o.Seed = None,
    epochs: o.Epochs = None,
    settings: o.Settings = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for weights, sample grids and losses.")
    ] = Path("p2pgan-out"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier training in the folder.")
    ] = False,
    data_root: o.DataRoot = None,
    download: o.Download = False,
    device: o.Device = "auto",
    threads: o.Threads = None,
    log: o.LogForm = "auto",
    track: o.Trackers = None,
    show_config: o.ShowConfig = False,
    dry_run: o.DryRun = False,
    debug: o.Debug = False,
) -> None:
    """Train in one process, without a database, with the same trainer as the peers.

    Keeps generator.safetensors, sample grids and losses.csv in the folder up to date. Ctrl-C ends it
    early and keeps what was learned. On a machine that others use as well, --threads 1 is fastest.

    Example: p2pgan train --dataset digits --epochs 60 --out digits
    """
    said = layers(
        config,
        settings,
        {
            "dataset": dataset,
            "gan.model.name": model,
            "gan.model.resolution": resolution,
            "gan.loss.name": loss,
            "gan.augment.policy": o.augment_kinds(augment),
            "gan.hold_out": hold_out or None,
            "gan.sharding": sharding,
            "gan.microbatch": o.batch_size(batch_size),
            "gan.accumulate": accumulate,
            "gan.precision": precision,
            "gan.seed": seed,
            "goal.epochs": epochs,
        },
        preset,
        from_environment(context),
    )
    if show_config:
        from p2pgan.cli.shown import print_config

        print_config(context, said)
        return
    from p2pgan.gan.data import open_images
    from p2pgan.gan.fit import with_classes_of, with_largest_microbatch
    from p2pgan.gan.folder import TrainingFolder
    from p2pgan.gan.train import train as train_alone
    from p2pgan.peer.config import run_config
    from p2pgan.peer.device import pick_device, some_threads
    from p2pgan.peer.log import Log
    from p2pgan.peer.progress import Progress
    from p2pgan.peer.trackers import check_trackers, open_trackers

    check_trackers(track or ())
    asked_for = overlaid(said)
    run = run_config(asked_for)
    warn_of_run_settings(asked_for)
    place, folder = pick_device(device), TrainingFolder(out, overwrite)
    epochs_in_all = run.goal.epochs or USUAL_EPOCHS
    if dry_run:
        from p2pgan.peer.dry_run import dry_run_train

        print_lines(dry_run_train(run, epochs_in_all, str(place), out))
        return
    images = open_images(run.dataset, run.gan.model.resolution, data_root, download)
    gan = with_classes_of(run.gan, images) if conditional else run.gan
    if batch_size == o.AUTO:
        gan = with_largest_microbatch(gan, place)
    with some_threads(threads), asked_to_end() as asked, Log(log) as told:
        told.track(open_trackers(track or (), out.name))
        trained = train_alone(
            gan,
            images,
            folder,
            epochs=epochs_in_all,
            unit_images=run.unit_images,
            sample_every=run.sample_every,
            device=place,
            callbacks=[Progress(told, f"training {run.dataset} into {out}")],
            stopping=asked.is_set,
        )
    typer.echo(_outcome(trained))


def _outcome(trained: Trained) -> str:
    kept = f"weights in {trained.weights}, samples in {trained.samples}, losses in {trained.losses}"
    if trained.images < trained.goal:
        return f"stopped after {trained.images:,} of {trained.goal:,} images; kept: {kept}"
    return f"{trained.images:,} images, {kept}"
