"""What a peer makes of its spans, in each way to average: how far its weights move, or their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from p2pgan.averaging.adam import gradient_weight
from p2pgan.errors import InternalError
from p2pgan.gan.health import Recovery, Watch
from p2pgan.gan.trainer import StepStats, Trainer


@dataclass(frozen=True)
class Part:
    """Elements ``[start, stop)`` of a contribution that are what they will be; the others are not yet."""

    vector: Tensor
    """float32 (P,), CPU."""
    start: int
    stop: int


FARTHEST = 8.0
"""A deviation that is longer than so many of this peer's own is shortened to that, before they are mixed."""


class Learning(Protocol):
    """Goes through a set of spans step by step and has a contribution in the end. For one thread."""

    report_images: int
    """At least so many images come together before a line tells of them."""

    def start(self, base: Tensor, version: int) -> None:
        """A new set of spans, from the weights ``base`` of that version."""
        ...

    def start_ahead(self) -> None:
        """A second set on top of the first, which is done; or that second set once more."""
        ...

    def rebase(self, base: Tensor, counted: bool) -> None:
        """The version ``base`` takes the place of the last one, with what was learned on top.

        ``counted`` says that it has the first set of spans: then only what was learned after that is.
        """
        ...

    def deviation(self, step: int) -> Tensor:
        """How far the weights are from the version, float32 (P,), CPU: what step ``step`` mixes."""
        ...

    def mix(self, step: int, deviation: Tensor, share: float) -> None:
        """Move the weights by ``share`` of the way from this peer's deviation in that step to another's.

        Nothing if it had none then. It does not change what the contributions will be, but for rounding.
        """
        ...

    def step(
        self, epoch: int, start: int, stop: int, total: int, early: Callable[[Part], None]
    ) -> tuple[StepStats, str | None]:
        """One step of a set of ``total`` images: what it showed, and a line for people if need be.

        In the last step of a set ``early`` may be called with a part of the contribution, before the rest
        of it is there.
        """
        ...

    def finish(self) -> Tensor:
        """The set is done: its contribution, float32 (P,), CPU."""
        ...


class Moves:
    """For ``deltas``: local steps, and how far they moved the weights."""

    report_images = 0

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._recovery = Recovery(trainer)
        self._marks: list[Tensor] = []
        """The version trained from, then the weights after each set of spans that was trained on top.

        All of them move with the weights where these are mixed with others', so that differences stay.
        """
        self._base: Tensor | None = None
        self._shared: tuple[int, Tensor] | None = None
        """Step and deviation, as others have it."""

    def start(self, base: Tensor, version: int) -> None:
        self._start_from([base])
        self._base, self._shared = base, None

    def start_ahead(self) -> None:
        self._start_from(self._marks[:2])

    def _start_from(self, marks: list[Tensor]) -> None:
        """The weights are those of the last mark."""
        self._marks = marks
        self._trainer.load(marks[-1])
        self._recovery.mark(marks[-1])

    def rebase(self, base: Tensor, counted: bool) -> None:
        """All marks move as far as the one that ``base`` replaces, and so do the weights."""
        replaced = self._marks[int(counted)]
        self._trainer.rebase(replaced, base)
        later = self._marks[int(counted) + 1 :]
        self._marks = [base, *(mark - replaced + base for mark in later)]
        self._recovery.mark(self._marks[-1])
        self._base, self._shared = base, None

    def deviation(self, step: int) -> Tensor:
        if self._base is None:
            raise InternalError("nothing is trained yet that could be mixed")
        deviation = self._trainer.theta() - self._base
        self._shared = step, deviation
        return deviation

    def mix(self, step: int, deviation: Tensor, share: float) -> None:
        if self._shared is None or self._shared[0] != step:
            return
        mine = self._shared[1]
        move = share * (_bounded(deviation, FARTHEST * mine.norm().item()) - mine)
        self._trainer.move(move)
        self._marks = [mark + move for mark in self._marks]
        self._recovery.mark(self._marks[-1])

    def step(
        self, epoch: int, start: int, stop: int, total: int, early: Callable[[Part], None]
    ) -> tuple[StepStats, str | None]:
        stats = self._trainer.train_microbatch(epoch, start, stop)
        return stats, self._recovery.after(stats)

    def finish(self) -> Tensor:
        self._marks.append(self._trainer.theta())
        return self._marks[-1] - self._marks[-2]


class Gradients:
    """For ``gradients``: both networks' gradients at the version, as means over all images of the set.

    A version is a step of the run, so its number says whether R1 and R2 are due, for all peers alike. By
    place in the epoch one of several peers would have them, and a rule that bounds who is longer than most
    would cut its gradient down to the others'.
    """

    report_images = 512

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._watch = Watch(trainer)
        self._sum: Tensor | None = None
        self._images = 0
        """Whose gradients are in it."""
        self._lazy = False
        """R1 and R2 are due."""

    def start(self, base: Tensor, version: int) -> None:
        self._trainer.load(base)
        self._sum, self._images = None, 0
        self._lazy = version % self._trainer.config.loss.r1_every == 0

    def start_ahead(self) -> None:
        raise InternalError("gradients are never trained ahead: they belong to one version")

    def rebase(self, base: Tensor, counted: bool) -> None:
        raise InternalError("gradients are never rebased: they belong to one version")

    def deviation(self, step: int) -> Tensor:
        raise InternalError("gradients are never mixed: they belong to one version")

    def mix(self, step: int, deviation: Tensor, share: float) -> None:
        raise InternalError("gradients are never mixed: they belong to one version")

    def step(
        self, epoch: int, start: int, stop: int, total: int, early: Callable[[Part], None]
    ) -> tuple[StepStats, str | None]:
        add = self._sum is not None
        if self._sum is None:
            self._sum = torch.empty(self._trainer.layout.size)
        vector, self._images = self._sum, self._images + stop - start

        def d_is_there(part: slice) -> None:
            if self._images == total:
                early(Part(vector, part.start, part.stop))

        weight = gradient_weight(stop - start, total)
        stats = self._trainer.gradients(
            epoch, start, stop, weight, vector, add=add, lazy=self._lazy, d_is_there=d_is_there
        )
        return stats, self._watch.after(stats)

    def finish(self) -> Tensor:
        if self._sum is None:
            raise InternalError("a contribution without a step")
        return self._sum


def _bounded(vector: Tensor, longest: float) -> Tensor:
    length = vector.norm().item()
    return vector if length <= longest else vector * (longest / length)
