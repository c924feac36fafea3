"""Numbers for experiment trackers: TensorBoard, Weights & Biases, trackio. Each is an extra of its own.

A tracker takes facts as every renderer does; what it writes to is a sink with two calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from p2pgan.errors import ConfigError
from p2pgan.peer.facts import Fact, UnitDone, VersionReached

NAMED = "tensorboard:DIR, wandb:PROJECT or trackio:PROJECT"


class Sink(Protocol):
    """One tracker's own way."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name, after ``step`` images; steps only grow."""
        ...

    def close(self) -> None:
        """Write out what waits."""
        ...


class Tracker:
    """Turns units and versions into numbers over the images that were trained here."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._images = 0

    def tell(self, fact: Fact) -> None:
        if isinstance(fact, UnitDone):
            stats = fact.stats
            self._images += stats.images
            values = {
                "unit/loss_g": stats.loss_g,
                "unit/loss_d": stats.loss_d,
                "unit/d_real": stats.d_real,
                "unit/d_fake": stats.d_fake,
                "unit/images_per_s": stats.images_per_s,
                "unit/grad_g": stats.grad_g,
                "unit/grad_d": stats.grad_d,
                "unit/diversity": stats.diversity,
            }
            told = {name: value for name, value in values.items() if value is not None}
            self._sink.write(self._images, told)
        elif isinstance(fact, VersionReached):
            self._sink.write(
                self._images,
                {
                    "round/version": fact.record.version,
                    "round/members": fact.members,
                    "round/images": fact.images,
                    "round/seconds": fact.seconds,
                },
            )

    def close(self) -> None:
        self._sink.close()


class _TensorBoard:
    def __init__(self, folder: str, _name: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(folder)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Run:
    """wandb, and trackio, which has the same calls."""

    def __init__(self, module: Any, project: str, name: str) -> None:
        self._run = module.init(project=project, name=name)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def _wandb(project: str, name: str) -> Sink:
    import wandb

    return _Run(wandb, project, name)


def _trackio(project: str, name: str) -> Sink:
    import trackio

    return _Run(trackio, project, name)


@dataclass(frozen=True)
class _Kind:
    open: Callable[[str, str], Sink]
    module: str


_KINDS = {
    "tensorboard": _Kind(_TensorBoard, "tensorboard"),
    "wandb": _Kind(_wandb, "wandb"),
    "trackio": _Kind(_trackio, "trackio"),
}


def check_trackers(specs: Sequence[str]) -> None:
    """Raises ConfigError for what names no tracker, or one that is not installed; loads none."""
    for spec in specs:
        kind, _, place = spec.partition(":")
        if kind not in _KINDS or not place:
            raise ConfigError(f"--track {spec} names no tracker; write {NAMED}")
        if find_spec(_KINDS[kind].module) is None:
            raise ConfigError(f"--track {kind} needs a package more: pip install 'p2pgan[{kind}]'")


def open_trackers(specs: Sequence[str], name: str) -> list[Tracker]:
    """The trackers that ``specs`` name, for the peer or training ``name``; checked before."""
    return [Tracker(_KINDS[kind].open(place, name)) for kind, _, place in (s.partition(":") for s in specs)]
