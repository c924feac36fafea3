"""p2pgan: one GAN trained together by peers, over ZeroMQ, met in Postgres.

The public API. Names are resolved when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from p2pgan.gan.config import GanConfig
    from p2pgan.gan.own import use_own_net
    from p2pgan.gan.presets import preset_values
    from p2pgan.gan.sampling import Generator
    from p2pgan.gan.sharding import OwnSharding, use_own_sharding
    from p2pgan.gan.train import Callbacks, Trained

__all__ = [
    "Callbacks",
    "GanConfig",
    "Generator",
    "Trained",
    "join",
    "load_generator",
    "preset_values",
    "train",
    "use_own_net",
    "use_own_sharding",
]

_PLACES = {
    "Callbacks": "p2pgan.gan.train",
    "GanConfig": "p2pgan.gan.config",
    "Generator": "p2pgan.gan.sampling",
    "Trained": "p2pgan.gan.train",
    "preset_values": "p2pgan.gan.presets",
    "use_own_net": "p2pgan.gan.own",
    "use_own_sharding": "p2pgan.gan.sharding",
}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'p2pgan' has no attribute {name!r}")


def load_generator(
    source: str | Path,
    run: str | None = None,
    version: int | Literal["best"] | None = None,
    *,
    device: str = "auto",
    batch_size: int = 64,
) -> Generator:
    """A generator out of a weights file, a run's committed weights, or what was published.

    Args:
        source: path of a ``.safetensors`` file, a DSN (``postgresql://...``, ``key=value ...`` or
            ``embedded:PATH``), or ``hf:USER/NAME`` for a repository on the Hugging Face hub
            (``hf:USER/NAME@REVISION`` for one of its revisions).
        run: name of the run, for a DSN; None takes the only active one.
        version: the version, for a DSN; ``best`` is the one with the best score, None takes the last
            committed one.
        device: ``auto``, ``cpu``, ``cuda``, ...
        batch_size: images drawn at once.

    Returns:
        A generator whose ``sample(n, seed)`` gives uint8 images of shape ``(n, 3, H, W)``, and whose
        ``interpolate(i, j, steps)`` gives those on the way from image ``i`` to ``j``.

    Raises:
        WeightsError: the file is corrupt or no weights file, or the version is not stored or published.
        ConfigError: the device cannot be used here.
        RunError, RendezvousError: no such run; the database cannot be reached or refuses.
    """
    from p2pgan.gan.published import is_published, local_file
    from p2pgan.gan.sampling import Generator
    from p2pgan.peer.device import pick_device

    place = pick_device(device)
    if _is_dsn(source):
        from p2pgan.peer.stored import read_generator

        stored = read_generator(str(source), run, version)
        return Generator(stored.config, stored.ema, place, batch_size)
    from p2pgan.gan.weights import load_generator as load_file

    weights = load_file(local_file(str(source)) if is_published(str(source)) else Path(source))
    return Generator(weights.config, weights.vector, place, batch_size)


def train(
    config: GanConfig | None = None,
    dataset: str = "digits",
    out: str | Path = "p2pgan-out",
    *,
    epochs: float | None = None,
    images_goal: int | None = None,
    sharding: str | OwnSharding | None = None,
    overwrite: bool = False,
    device: str = "auto",
    threads: int | None = None,
    data_root: str | Path | None = None,
    download: bool = False,
    quiet: bool = False,
    callbacks: Sequence[Callbacks] = (),
) -> Trained:
    """Trains in this process, without a database; keeps weights, sample grids and losses in ``out``.

    Args:
        config: nets, loss and optimizer; None takes the defaults.
        dataset: ``digits``, ``folder:PATH``, ``zip:PATH``, ...
        out: folder for ``generator.safetensors``, sample grids and ``losses.csv``.
        epochs: passes over the images; this or ``images_goal`` must be given.
        images_goal: images to train on.
        sharding: ``iid``, ``by-class``, or an own strategy, a function or ``path/to/file.py:FUNCTION``,
            which divides the images into parts that the training takes in turn: it gets the images and the
            seed, and returns a whole number for each image. None takes the configuration's.
        overwrite: whether an earlier training in ``out`` may be replaced.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: processor threads while it trains; None leaves torch's own choice, which is slow where
            other programs use the processors as well.
        data_root: where torchvision's data sets lie.
        download: whether a missing torchvision data set may be downloaded.
        quiet: print no line for each unit and sample grid.
        callbacks: told of units, progress and samples, printed or not.

    Raises:
        ConfigError, DatasetError: wrong values, ``out`` is in use or cannot be written; the images are
            missing or unreadable.
        WeightsError: the training diverged.
        P2pganError: the disk is full.
    """
    from p2pgan.gan.config import GanConfig
    from p2pgan.gan.data import open_images
    from p2pgan.gan.folder import TrainingFolder
    from p2pgan.gan.sharding import with_sharding
    from p2pgan.gan.train import train as train_alone
    from p2pgan.peer.device import pick_device, some_threads
    from p2pgan.peer.log import Log
    from p2pgan.peer.progress import Progress

    chosen = config if config is not None else GanConfig()
    if sharding is not None:
        chosen = with_sharding(chosen, sharding)
    root = Path(data_root) if data_root is not None else None
    place, folder = pick_device(device), TrainingFolder(Path(out), overwrite)
    with some_threads(threads):
        images = open_images(dataset, chosen.model.resolution, root, download)
        return train_alone(
            chosen,
            images,
            folder,
            epochs=epochs,
            images_goal=images_goal,
            device=place,
            callbacks=callbacks if quiet else [Progress(Log("lines")), *callbacks],
        )


def join(
    dsn: str,
    *,
    run: str | None = None,
    dataset: str | None = None,
    device: str = "auto",
    name: str | None = None,
    own_net: str | None = None,
    own_sharding: str | None = None,
    callbacks: Sequence[Callbacks] = (),
) -> None:
    """Takes part in a run until it ends, or until Ctrl-C; as ``p2pgan join`` does.

    Args:
        dsn: ``postgresql://...`` or ``embedded:PATH``.
        run: name of the run; None takes the only active one.
        dataset: where the images lie here; None takes the run's own specification.
        device: ``auto``, ``cpu``, ``cuda``, ...
        name: what people call this peer; None takes the machine's name.
        own_net: where this machine has the run's own net, ``path/to/file.py:CLASS``.
        own_sharding: where it has the run's own sharding, ``path/to/file.py:FUNCTION``. Both are named by
            their files, whose digests the run keeps: a class or function itself is not taken.
        callbacks: told of this peer's units, of what its training had to do (``on_notice``), of the images
            that the run has counted in this peer's versions, twice a second at most (``on_progress``; the
            goal is 0 if the run does not end after a number of epochs), and of the sample grids that it draws
            while it leads (``on_samples``; the newest is in its state folder). There is no ``on_step``. All
            run in the peer's loop, which waits for them; one that raises is told nothing more, and a line
            says so.

    Raises:
        ConfigError: an own net or sharding that cannot be loaded.
        RunError, DatasetError, RendezvousError: no such run, other images, no database.
    """
    from socket import gethostname

    from p2pgan.gan.own_code import check_spec
    from p2pgan.peer.options import JoinOptions
    from p2pgan.peer.start import join as join_run

    if own_net is not None:
        check_spec(own_net, "net", "class")
    if own_sharding is not None:
        check_spec(own_sharding, "sharding", "function")
    join_run(
        JoinOptions(
            rendezvous=dsn,
            run=run,
            dataset=dataset,
            device=device,
            name=gethostname() if name is None else name,
            own_net=own_net,
            own_sharding=own_sharding,
            callbacks=tuple(callbacks),
        )
    )


def _is_dsn(source: str | Path) -> bool:
    text = str(source)
    if isinstance(source, Path) or text.startswith("hf:") or Path(text).exists():
        return False
    return text.startswith("embedded:") or "://" in text or "=" in text
