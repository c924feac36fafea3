"""From options to a running peer, and out again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from socket import gethostname

import torch
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from p2pgan.averaging.digest import chunk
from p2pgan.averaging.flatten import Layout
from p2pgan.averaging.rules import rule
from p2pgan.errors import (
    ConfigError,
    DatasetError,
    RendezvousUnavailable,
    SchemaMismatch,
    Trouble,
    WeightsError,
)
from p2pgan.gan.data import ImageSet, open_images, run_fingerprint, training_images
from p2pgan.gan.fit import with_classes_of, with_largest_microbatch
from p2pgan.gan.models import layout_for
from p2pgan.gan.own import use_own_net
from p2pgan.gan.scores.builtin import builtin_extractor
from p2pgan.gan.scores.foreign import torchscript_extractor
from p2pgan.gan.sharding import use_own_sharding
from p2pgan.gan.trainer import Trainer
from p2pgan.journal import Journal
from p2pgan.peer.answering import SHARE, Answering, most_bytes
from p2pgan.peer.averaged import AveragedGenerators
from p2pgan.peer.blackboard import blackboard
from p2pgan.peer.config import RunConfig
from p2pgan.peer.database import Database
from p2pgan.peer.departure import Departure
from p2pgan.peer.device import pick_device
from p2pgan.peer.drawer import Drawer
from p2pgan.peer.identity import take_identity, unlike
from p2pgan.peer.inbox import Inbox
from p2pgan.peer.learning import Gradients, Moves
from p2pgan.peer.listening import transport_of
from p2pgan.peer.log import Log
from p2pgan.peer.meeting import FIRST_RUN, Meeting, dataset_of
from p2pgan.peer.memory import Memory
from p2pgan.peer.observer import Observer
from p2pgan.peer.options import JoinOptions, LeadOptions, PeerOptions
from p2pgan.peer.outer import outer_of
from p2pgan.peer.peer import Peer
from p2pgan.peer.perform import Performer
from p2pgan.peer.scoring import Scorer
from p2pgan.peer.training import TrainingThread
from p2pgan.peer.vectors import Vectors, first_snapshot
from p2pgan.peer.wall import Wall
from p2pgan.peer.watching import Watching
from p2pgan.peer.worries import Worries
from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.ids import CHUNK_BYTES, PeerId
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.texts import SHORT_ID, counted
from p2pgan.rendezvous import Dataset, PeerRegistration, Rendezvous, RunRow
from p2pgan.transport import Transport, load_keys

BUILTIN = "builtin"
END_S = 5.0
"""Each thread has so long to end."""


def take_part(meeting: Meeting, options: PeerOptions, trains: bool, log: Log, departure: Departure) -> str:
    """Create the run if there is none, and take part until it ends or the user leaves.

    Returns why it ended. Raises KeyboardInterrupt if it was before it took part.
    """
    _set_threads(options)
    config = meeting.config
    _use_own_code(options)
    run = meeting.run
    images = _images(config, options)
    if isinstance(options, LeadOptions):
        config = _filled_in(config, options, images, is_new=run is None)
    if run is None:
        run = _create_run(meeting.rendezvous, options.run or FIRST_RUN, config, images)
    place = _Place(meeting.rendezvous, run, config, images)
    return _take_part(place, options, trains, log, departure, _board(meeting, options, run, config))


def _board(meeting: Meeting, options: PeerOptions, run: RunRow, config: RunConfig) -> tuple[str, ...]:
    """What to write on the blackboard; nothing without a class."""
    if not isinstance(options, LeadOptions) or options.class_page is None or meeting.class_dsn is None:
        return ()
    named = run.name if sum(r.state == "active" for r in meeting.rendezvous.list_runs()) > 1 else None
    return tuple(blackboard(meeting.class_dsn, options.class_page, named, config))


def _use_own_code(options: PeerOptions) -> None:
    """What a joiner names; a leader names it in the configuration."""
    if isinstance(options, JoinOptions):
        if options.own_net is not None:
            use_own_net(options.own_net)
        if options.own_sharding is not None:
            use_own_sharding(options.own_sharding)


def _set_threads(options: PeerOptions) -> None:
    if options.threads is not None:
        torch.set_num_threads(options.threads)


def _filled_in(config: RunConfig, options: LeadOptions, images: ImageSet, is_new: bool) -> RunConfig:
    """The configuration with what a new run takes from its images and this machine."""
    gan = config.gan
    if not is_new:
        if options.conditional and not gan.model.num_classes:
            raise ConfigError("the run was created without classes; leave --conditional out")
        return config
    if options.conditional:
        gan = with_classes_of(gan, images)
    if options.largest_microbatch:
        gan = with_largest_microbatch(gan, pick_device(options.device))
    update: dict[str, object] = {"gan": gan}
    if options.score_extractor is not None:
        update["score_extractor"] = torchscript_extractor(options.score_extractor).digest
    return config.model_copy(update=update)


def _create_run(rendezvous: Rendezvous, name: str, config: RunConfig, images: ImageSet) -> RunRow:
    """Version 0 is what the seed gives; it is stored so that anyone can start from it."""
    trainer = Trainer(config.gan, images, "cpu")
    first = first_snapshot(trainer.layout, trainer.theta(), outer_of(config, trainer.layout).memory)
    blob, manifest = first.blob, first.manifest
    pieces = [(d, bytes(p)) for d, p in zip(manifest.chunks, chunk(blob), strict=True)]
    return rendezvous.create_run(
        name,
        config.model_dump(mode="json"),
        _dataset(config, images),
        manifest.schema_hash,
        config.unit_images,
        manifest,
        pieces,
    )


def _dataset(config: RunConfig, images: ImageSet) -> Dataset:
    fingerprint = run_fingerprint(config.gan, images)
    return Dataset(count=fingerprint.count, resolution=fingerprint.resolution, digest=fingerprint.digest)


def _images(config: RunConfig, options: PeerOptions) -> ImageSet:
    """The images to train on. Those that are held out are kept aside."""
    spec, pixels = dataset_of(config, options), config.gan.model.resolution
    images = open_images(spec, pixels, options.data_root, options.download)
    return training_images(config.gan, images)


def _check_images(run: RunRow, config: RunConfig, images: ImageSet) -> None:
    mine, theirs = _dataset(config, images), run.dataset
    if mine != theirs:
        raise DatasetError(
            f"these are not the images of the run {run.name}: {counted(mine['count'], 'image')} with digest "
            f"{mine['digest'][:12]}, not {theirs['count']} with {theirs['digest'][:12]}; "
            f"point --dataset to the same images{_or_parts(config)}",
            Trouble.IMAGES,
        )


def _or_parts(config: RunConfig) -> str:
    """What else may be wrong with the same images."""
    if config.gan.sharding == "iid":
        return ""
    name = config.gan.sharding.partition("@")[0]
    return f", and see that --sharding {name} divides them alike everywhere"


def _protocol_config(run: RunRow, config: RunConfig, images: ImageSet, layout: Layout) -> ProtocolConfig:
    return ProtocolConfig(
        images=run.dataset["count"],
        unit_images=run.unit_images,
        microbatch=config.gan.step_images,
        vector_size=layout.size,
        vector_border=layout.slice_of("G").stop if config.sync.mode == "gradients" else 0,
        schema_hash=run.schema_hash,
        codec=config.sync.codec,
        round_s=config.sync.round_seconds,
        sync=config.sync.mode,
        mix_s=config.sync.mix_seconds if config.sync.mode == "gossip" else None,
        local_steps=config.sync.local_steps or (1 if config.sync.mode == "gradients" else None),
        commit_s=config.commit_seconds,
        parts=images.parts.ends if images.parts is not None else (),
        rotate_every=config.leadership.rotate_every,
        goal_epochs=config.goal.epochs,
        goal_versions=config.goal.versions,
        ttl_s=config.leadership.ttl_s,
        renew_s=config.leadership.renew_s,
    )


@dataclass(frozen=True)
class _Place:
    """What a peer takes part in."""

    rendezvous: Rendezvous
    run: RunRow
    config: RunConfig
    images: ImageSet


@dataclass(frozen=True)
class _Means:
    """What it takes part with."""

    registration: PeerRegistration
    layout: Layout
    device: torch.device
    transport: Transport
    journal: Journal
    inbox: Inbox
    log: Log


def _take_part(
    place: _Place,
    options: PeerOptions,
    trains: bool,
    log: Log,
    departure: Departure,
    board: Sequence[str],
) -> str:
    run, images = place.run, place.images
    _check_images(run, place.config, images)
    layout = layout_for(place.config.gan.model)
    if layout.schema_hash != run.schema_hash:
        text = f"the nets of the run {run.name} are of another version of p2pgan"
        raise SchemaMismatch(text, Trouble.RELEASE)
    device = pick_device(options.device)
    named = options.name != gethostname()
    options, folder = take_identity(options, named)
    with ExitStack() as stack:
        stack.callback(folder.release)
        keys = load_keys(folder.path)
        journal = stack.enter_context(Journal(folder.path / "journal.sqlite"))
        inbox = Inbox()
        if journal.notice is not None:
            log.note("journal", journal.notice)
        transport = transport_of(options, keys, inbox, _longest_blob(layout, images.resolution))
        address = transport.start()
        stack.callback(transport.close)
        others = {p.name for p in place.rendezvous.list_peers(run.id).peers if p.id != keys.public}
        name = options.name if named else unlike(others, options.name, keys.public)
        registration = PeerRegistration(
            keys.public, name, device.type, address.control, address.bulk, True, folder.instance
        )
        place.rendezvous.register_peer(run.id, registration)
        try:
            log.note(
                "run",
                f"{run.name}: {counted(images.count, 'image')} at {images.resolution} px, {device.type}",
            )
            log.note("peer", f"{name} is {keys.public[:SHORT_ID]}, listens on {address.control}")
            for line in board:
                log.note("class", line)
            means = _Means(registration, layout, device, transport, journal, inbox, log)
            reason = _run_peer(place, means, options, trains, departure, board)
        except KeyboardInterrupt:
            _say_goodbye(place, keys.public, log)
            raise
        _say_goodbye(place, keys.public, log)
        return reason


def _longest_blob(layout: Layout, resolution: int) -> int:
    """Nothing longer is ever sent: of a vector two bytes for each element, all of them exactly beside it."""
    return max(CHUNK_BYTES, 6 * layout.size, most_bytes(resolution))


def _run_peer(
    place: _Place,
    means: _Means,
    options: PeerOptions,
    trains: bool,
    departure: Departure,
    board: Sequence[str],
) -> str:
    """Put a peer together and run it until it has left; the reason."""
    run, config = place.run, place.config
    inbox, log = means.inbox, means.log
    goal = (config.goal.epochs or 0) * place.images.count
    log.track([Watching(callbacks, goal, options.state_folder) for callbacks in options.callbacks])
    memory = Memory(means.journal, run.name, log)
    settings = _protocol_config(run, config, place.images, means.layout)
    me = means.registration.id
    outer = outer_of(config, means.layout)
    machine = Machine(settings, me, run.name, trains=trains)
    with ExitStack() as stack:
        trainer = Trainer(config.gan, place.images, means.device)
        learning = Gradients(trainer) if config.sync.mode == "gradients" else Moves(trainer)
        training = TrainingThread(trainer, learning, inbox)
        stack.callback(training.end, END_S)
        scorer = _scorer(place, me, options, memory, inbox, log)
        if scorer is not None:
            scorer.start()
            stack.callback(scorer.end, END_S)
        database = Database(
            place.rendezvous, run, means.registration, settings, config.gan, outer.memory, memory, inbox,
            means.transport.set_peers, config.sample_every, config.score_every, scorer,
        )  # fmt: skip
        # Nothing that is still queued may contradict the goodbye.
        stack.callback(database.end, END_S)
        vectors = Vectors(
            means.layout,
            outer,
            config.gan.ema_half_life_images,
            rule(config.sync.aggregation),
            allocate=means.transport.allocate,
        )
        performer = Performer(
            run.name, me, vectors, training, means.transport, database, memory, inbox, log,
            machine.member.accepts, machine.mixing.accepts,
        )  # fmt: skip
        observer = Observer(means.registration.name, machine, training, database, performer.lending, board)
        generators = AveragedGenerators(config.gan, means.device, lambda v: database.read_snapshot(v).ema)
        drawer = Drawer(inbox, SHARE)
        stack.callback(drawer.end, END_S)
        answering = Answering(
            run.name, vectors, generators, drawer, means.transport,
            lambda who: performer.note_order(machine.core.name(who)),
        )  # fmt: skip
        wall = Wall(machine.core, means.transport.ways)
        peer = Peer(
            machine, performer, vectors, training, database, memory, inbox, log, observer, answering,
            means.transport.offences, means.transport.uplink,
            wall, Worries(machine, means.registration.control_address, wall, performer.note),
        )  # fmt: skip
        _restore(peer, database, means.journal, run, log)
        departure.ask(peer.leave)
        return peer.run()


def _scorer(
    place: _Place, me: PeerId, options: PeerOptions, memory: Memory, inbox: Inbox, log: Log
) -> Scorer | None:
    """Who scores versions while this peer leads; None if nobody asked for it, or it cannot be done here."""
    config = place.config
    if not config.score_every:
        return None
    if config.score_extractor == BUILTIN:
        extractor = builtin_extractor()
    elif options.score_extractor is None:
        log.note("score", "this peer scores no versions when it leads: it needs --score-extractor FILE")
        return None
    else:
        extractor = torchscript_extractor(options.score_extractor)
        if extractor.digest != config.score_extractor:
            raise ConfigError(
                f"{options.score_extractor} is not the run's extractor: its BLAKE3 is "
                f"{extractor.digest[:12]}, not {config.score_extractor[:12]}; leave --score-extractor out"
            )
    write = partial(place.rendezvous.write_score, place.run.id, me)
    return Scorer(config.gan, place.images, extractor, config.score_images, memory, inbox, log, write)


def _restore(peer: Peer, database: Database, journal: Journal, run: RunRow, log: Log) -> None:
    """Take up what the outbox kept when this peer crashed while the database was away."""
    waiting = journal.peek_commit(run.name)
    if waiting is None:
        return
    if waiting.manifest.version > run.version:
        try:
            snapshot = database.decoded(waiting.manifest, waiting.snapshot.read_bytes())
        except (OSError, WeightsError) as error:
            log.note("journal", f"the commit that waited cannot be used: {error}")
        else:
            log.note("journal", f"version {snapshot.version} waits to be committed")
            peer.restore(snapshot, waiting.records)
            return
    journal.remove_commit(waiting.id)


def _say_goodbye(place: _Place, me: PeerId, log: Log) -> None:
    try:
        # The first call after a restart of the database finds a dead connection.
        for attempt in Retrying(
            stop=stop_after_attempt(2), retry=retry_if_exception_type(RendezvousUnavailable), reraise=True
        ):
            with attempt:
                place.rendezvous.set_peer_state(place.run.id, me, "left")
    except RendezvousUnavailable as error:
        log.note("database", f"could not note that this peer left: {error}")
