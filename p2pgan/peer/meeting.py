"""The way to the run, as far as it needs no torch: what is wrong with it is found before that is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from p2pgan.errors import RunError
from p2pgan.gan.sources import TORCHVISION_NAMES, open_source
from p2pgan.peer.blackboard import invite_class
from p2pgan.peer.config import RunConfig, check_requested, run_config, stored_config
from p2pgan.peer.log import Log
from p2pgan.peer.options import JoinOptions, LeadOptions, PeerOptions
from p2pgan.rendezvous import Rendezvous, RunRow, open_rendezvous
from p2pgan.rendezvous.translation import NotYet

FIRST_RUN = "gan"
"""Name of a run that nobody named."""
PATIENCE_S = 60.0
"""So long a joiner waits for each thing that its leader makes: database, tables, run."""
LOOK_AGAIN_S = 0.5

Found = TypeVar("Found")


@dataclass(frozen=True)
class Meeting:
    """A rendezvous that lets us in, and the run there."""

    rendezvous: Rendezvous
    run: RunRow | None
    """None: it is to be created."""
    config: RunConfig
    class_dsn: str | None = None
    """What a class is to join with; None if none was invited."""


@contextmanager
def to_lead(options: LeadOptions) -> Iterator[Meeting]:
    """Where to create a run or take it up again, with the tables made."""
    said = options.dataset or options.requested.get("dataset")
    if isinstance(said, str):  # or a cluster would be made for nothing
        check_dataset(said)
    with open_rendezvous(options.rendezvous, create=True) as rendezvous:
        rendezvous.migrate()
        run = existing_run(rendezvous, options)
        if run is None:
            requested = dict(options.requested)
            if options.dataset is not None:
                requested["dataset"] = options.dataset
            config = run_config(requested)
        else:
            config = stored_config(run.config)
            check_requested(config, options.requested)
        check_dataset(dataset_of(config, options))
        guests = invite_class(rendezvous, options) if options.class_page is not None else None
        yield Meeting(rendezvous, run, config, guests)


@contextmanager
def to_join(options: JoinOptions, log: Log, sleep: Callable[[float], None] = time.sleep) -> Iterator[Meeting]:
    """Where to join a run; whoever comes together with the leader waits until all is there."""
    with _patiently(partial(open_rendezvous, options.rendezvous), log, sleep) as rendezvous:
        run = _patiently(partial(run_to_join, rendezvous, options.run), log, sleep)
        config = stored_config(run.config)
        check_dataset(dataset_of(config, options))
        yield Meeting(rendezvous, run, config)


def _patiently(find: Callable[[], Found], log: Log, sleep: Callable[[float], None]) -> Found:
    """What ``find`` gives, as soon as it raises NotYet no more."""

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if state.attempt_number == 1 and isinstance(error, NotYet):
            log.note("start", f"waiting for the leader to make {error.what}, up to {PATIENCE_S:.0f} s")

    retrying = Retrying(
        retry=retry_if_exception_type(NotYet),
        stop=stop_after_delay(PATIENCE_S),
        wait=wait_fixed(LOOK_AGAIN_S),
        sleep=sleep,
        before_sleep=say,
        reraise=True,
    )
    return retrying(find)


def run_to_join(rendezvous: Rendezvous, name: str | None) -> RunRow:
    """The run of that name, or the only active one. Raises NotYet as long as a leader may make it."""
    rendezvous.check_schema()
    run = rendezvous.find_run(name)
    if run.state == "finished":
        raise RunError(f"the run {run.name} has finished: draw from it with p2pgan generate")
    return run


def existing_run(rendezvous: Rendezvous, options: LeadOptions) -> RunRow | None:
    """The run to resume; None if it is to be created."""
    runs = rendezvous.list_runs()
    if options.run is None and not any(r.state == "active" for r in runs):
        if any(r.name == FIRST_RUN for r in runs):
            raise RunError(f"the run {FIRST_RUN} has finished: name the next one with --run NAME")
        return None
    if options.run is not None and all(r.name != options.run for r in runs):
        return None
    run = rendezvous.find_run(options.run)
    if run.state == "finished":
        raise RunError(f"the run {run.name} has finished: name the next one with --run NAME")
    return run


def dataset_of(config: RunConfig, options: PeerOptions) -> str:
    """The specification of the images on this machine."""
    return options.dataset if options.dataset is not None else config.dataset


def check_dataset(spec: str) -> None:
    """Raises DatasetError for what names no images; those that it names are opened later, once."""
    path = spec.partition(":")[2]
    if spec not in ("digits", *TORCHVISION_NAMES) and not (path and _is_there(path)):
        open_source(spec)


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a name too long, say: opening it says so in one line
        return False
