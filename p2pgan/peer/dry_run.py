"""What ``lead``, ``join`` and ``train`` would do, for ``--dry-run``: nothing is written anywhere."""

from __future__ import annotations

from pathlib import Path
from socket import gethostname

from p2pgan.errors import RunError
from p2pgan.peer.config import RunConfig, check_requested, run_config, stored_config
from p2pgan.peer.meeting import FIRST_RUN, check_dataset, dataset_of, existing_run, run_to_join
from p2pgan.peer.options import JoinOptions, LeadOptions, PeerOptions
from p2pgan.protocol.texts import counted
from p2pgan.rendezvous import RunRow, open_rendezvous
from p2pgan.rendezvous.translation import NoCluster, NoSchema
from p2pgan.transport.checkup import free_ports, told_address
from p2pgan.transport.curve import find_keys


def dry_run_lead(options: LeadOptions) -> list[str]:
    """What a leader would do, line by line.

    Raises:
        P2pganError: what would stop it.
    """
    lines = []
    run: RunRow | None = None
    try:
        with open_rendezvous(options.rendezvous, read_only=True) as rendezvous:
            rendezvous.check_schema()
            run = existing_run(rendezvous, options)
    except NoCluster:
        lines += [f"make an embedded Postgres at {options.rendezvous}", "make the tables of p2pgan in it"]
    except NoSchema:
        lines.append("make the tables of p2pgan in the database")
    if run is None:
        said = {} if options.dataset is None else {"dataset": options.dataset}
        config = run_config({**options.requested, **said})
        lines.append(f"create the run {options.run or FIRST_RUN}: {_described(config)}")
    else:
        config = stored_config(run.config)
        check_requested(config, options.requested)
        _check_classes(options, config)
        lines.append(_resumed(run, config))
    guests = ["invite a whole class"] if options.class_page is not None else []
    work = "train and lead" if not options.no_train else "lead, and train nothing"
    return [*lines, *_of_peer(config, options), *guests, work]


def dry_run_join(options: JoinOptions) -> list[str]:
    """What a joiner would do, line by line.

    Raises:
        P2pganError: what would stop it; for what a leader may make any moment, a real one would wait.
    """
    with open_rendezvous(options.rendezvous, read_only=True) as rendezvous:
        run = run_to_join(rendezvous, options.run)
    config = stored_config(run.config)
    return [_resumed(run, config), *_of_peer(config, options), "train, and lead when the pen comes here"]


def dry_run_train(config: RunConfig, epochs: int, device: str, out: Path) -> list[str]:
    """What a training alone would do, line by line; ``out`` is known to be a folder that it may use.

    Raises:
        DatasetError: there are no such images.
    """
    check_dataset(config.dataset)
    return [
        f"read the images {config.dataset}",
        f"train {nets_and_images(config)}, for {counted(epochs, 'epoch')} on {device}",
        f"keep weights, samples and losses up to date in {out}",
    ]


def nets_and_images(config: RunConfig) -> str:
    """What is trained on what."""
    model = config.gan.model
    return f"{model.name} at {model.resolution} px on {config.dataset}"


def _check_classes(options: LeadOptions, config: RunConfig) -> None:
    if options.conditional and not config.gan.model.num_classes:
        raise RunError("the run was created without classes; leave --conditional out")


def _resumed(run: RunRow, config: RunConfig) -> str:
    return f"take part in the run {run.name} at version {run.version}: {_described(config)}"


def _described(config: RunConfig) -> str:
    epochs, versions = config.goal.epochs, config.goal.versions
    ends = [counted(epochs, "epoch")] if epochs else []
    ends += [counted(versions, "version")] if versions else []
    until = f"until {' or '.join(ends)}" if ends else "without an end"
    return f"{nets_and_images(config)}, {until}"


def _of_peer(config: RunConfig, options: PeerOptions) -> list[str]:
    """Images, identity and addresses."""
    spec = dataset_of(config, options)
    check_dataset(spec)
    keys = find_keys(options.state_folder)
    identity = "its key" if keys else "a new key"
    free_ports(options.bind_host, options.port)
    ports = f"ports {options.port} and {options.port + 1}" if options.port else "two free ports"
    told = told_address(options.bind_host, options.advertise)
    named = "" if options.name != gethostname() else ", or the next free name"
    return [
        f"read the images {spec}",
        f"be the peer {options.name}{named}, with {identity} in {options.state_folder}",
        f"listen on {options.bind_host}, {ports}, and tell others to dial {told}",
    ]
