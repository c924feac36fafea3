"""``p2pgan lead``: create a run, or take it up again, and train as its first leader."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import replace
from socket import gethostname
from typing import Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.beside import dashboard_beside
from p2pgan.cli.listing import print_lines
from p2pgan.cli.overrides import layers, overlaid
from p2pgan.cli.sources import from_environment
from p2pgan.cli.warnings import warn_without_tls
from p2pgan.peer.options import LeadOptions

EVERYWHERE = "0.0.0.0"


def lead(
    context: typer.Context,
    rendezvous: o.Rendezvous,
    run: o.NewRunName = None,
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
    sync: o.Sync = None,
    aggregation: o.Aggregation = None,
    score_every: o.ScoreEvery = None,
    codec: o.CodecName = None,
    settings: o.Settings = None,
    no_train: Annotated[
        bool, o.option("--no-train", help="Hold the pen and serve weights, but train nothing.")
    ] = False,
    score_extractor: o.ScoreExtractor = None,
    data_root: o.DataRoot = None,
    download: o.Download = False,
    device: o.Device = "auto",
    name: o.PeerName = None,
    state_dir: o.StateDir = None,
    bind: o.Bind = None,
    advertise: o.Advertise = None,
    port: o.Port = 0,
    no_shared_memory: o.NoSharedMemory = False,
    threads: o.Threads = None,
    log: o.LogForm = "auto",
    track: o.Trackers = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Also show the run live in a browser on this machine.")
    ] = False,
    for_class: Annotated[
        bool,
        typer.Option(
            "--class",
            help="Invite a class: in the end of the start, print what to write on the blackboard.",
        ),
    ] = False,
    show_config: o.ShowConfig = False,
    dry_run: o.DryRun = False,
    debug: o.Debug = False,
) -> None:
    """Create a run, or resume it, and train as its first leader.

    The whole configuration is stored in the rendezvous: those who join need only the DSN.
    Ctrl-C leaves cleanly; the run goes on with the others.
    With --class it prints a line to install p2pgan, a line to join under a login for the whole class, and
    the address of the dashboard, all of them to be shown; no line has your own password.

    Example: p2pgan lead --rendezvous postgresql://me:secret@db.example.org/gan --dataset zip:faces.zip
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
            "sync.mode": sync,
            "sync.aggregation": aggregation,
            "score_every": score_every,
            "sync.codec": codec,
        },
        preset,
        from_environment(context),
    )
    options = LeadOptions(
        rendezvous=rendezvous,
        run=run,
        requested=overlaid(said),
        conditional=conditional,
        largest_microbatch=batch_size == o.AUTO,
        no_train=no_train,
        dataset=dataset,
        score_extractor=score_extractor,
        data_root=data_root,
        download=download,
        device=device,
        name=gethostname() if name is None else name,
        state_dir=state_dir,
        bind=bind,
        advertise=advertise,
        port=port,
        shared_memory=not no_shared_memory,
        threads=threads,
        log_format=log,
        trackers=tuple(track or ()),
    )
    if show_config:
        from p2pgan.cli.shown import print_config

        print_config(context, said)
        return
    warn_without_tls(rendezvous)
    if dry_run:
        from p2pgan.peer.dry_run import dry_run_lead

        print_lines(dry_run_lead(replace(options, class_page="") if for_class else options))
        return
    from p2pgan.peer.start import lead as lead_run

    with ExitStack() as stack:
        if for_class:
            from p2pgan.peer.blackboard import easily_written

            token = easily_written(secrets.token_hex(), "the dashboard of a class")
            page = stack.enter_context(dashboard_beside(rendezvous, EVERYWHERE, token))
            options = replace(options, class_page=page)
        elif dashboard:
            from p2pgan.peer.log import Log

            Log(log).note("dashboard", stack.enter_context(dashboard_beside(rendezvous)))
        lead_run(options)
