"""``p2pgan join``: take part in a run."""

from __future__ import annotations

from socket import gethostname

import typer

from p2pgan.cli import options as o
from p2pgan.cli.listing import print_lines
from p2pgan.cli.warnings import warn_without_tls
from p2pgan.peer.options import JoinOptions


def join(
    context: typer.Context,
    rendezvous: o.Rendezvous,
    run: o.RunName = None,
    dataset: o.Dataset = None,
    model: o.OwnNet = None,
    sharding: o.OwnSharding = None,
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
    show_config: o.ShowConfig = False,
    dry_run: o.DryRun = False,
    debug: o.Debug = False,
) -> None:
    """Take part in a run: needs the DSN, and where the images lie if they are not built in.

    Ctrl-C leaves cleanly: unfinished work is given back, and the pen is handed over.

    Example: p2pgan join --rendezvous postgresql://me:secret@db.example.org/gan --dataset zip:faces.zip
    """
    options = JoinOptions(
        rendezvous=rendezvous,
        run=run,
        dataset=dataset,
        own_net=model,
        own_sharding=sharding,
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
        _show_config(context, options)
        return
    warn_without_tls(rendezvous)
    if dry_run:
        from p2pgan.peer.dry_run import dry_run_join

        print_lines(dry_run_join(options))
        return
    from p2pgan.peer.start import join as join_run

    join_run(options)


def _show_config(context: typer.Context, options: JoinOptions) -> None:
    """The configuration that the run was created with, and what this machine adds."""
    from p2pgan.cli.overrides import Layer
    from p2pgan.cli.shown import print_machine, print_run
    from p2pgan.peer.config import stored_config
    from p2pgan.rendezvous import open_rendezvous

    with open_rendezvous(options.rendezvous, read_only=True) as database:
        database.check_schema()
        run = database.find_run(options.run)
    config = stored_config(run.config).model_dump(mode="json")
    print_run(config, [Layer(f"run {run.name}", config)])
    typer.echo()
    print_machine(context)
