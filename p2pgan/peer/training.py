"""The training thread: trains the spans it is told, never waits for the network or the database."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from p2pgan.gan.signals import Warner, collapsed
from p2pgan.gan.train import summarise
from p2pgan.gan.trainer import Look, StepStats, Trainer
from p2pgan.peer.inbox import (
    ContributionReady,
    DeviationReady,
    Inbox,
    PartReady,
    SpanTrained,
    ThreadDied,
    TrainingNoticed,
)
from p2pgan.peer.learning import Learning, Part
from p2pgan.protocol.effects import Mix, ShareDeviation
from p2pgan.protocol.ids import Span, images_in
from p2pgan.protocol.metrics import Losses, losses, signals

LOOK_EVERY_IMAGES = 512
"""Signals that need images of their own are looked at so often: they then cost about a percent."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the training under way is, in images."""

    unit: int
    done_of_unit: int
    span_images: int
    """How many of the unit are this peer's."""
    done: int
    images: int
    """In all spans."""


@dataclass(frozen=True)
class _Job:
    ticket: int
    spans: tuple[Span, ...]
    base: Tensor
    version: int
    images: int


@dataclass(frozen=True)
class _Ahead:
    ticket: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class _Rebase:
    base: Tensor
    images: int
    counted: bool


@dataclass(frozen=True)
class _Share:
    asked: ShareDeviation


@dataclass(frozen=True)
class _Mix:
    how: Mix
    deviation: Tensor


@dataclass(frozen=True)
class _Stop:
    pass


@dataclass(frozen=True)
class _End:
    pass


_Work = _Job | _Ahead
_Command = _Job | _Ahead | _Rebase | _Share | _Mix | _Stop | _End


class TrainingThread:
    """Obeys the newest command between two microbatches."""

    def __init__(self, trainer: Trainer, learning: Learning, inbox: Inbox) -> None:
        self._trainer, self._learning, self._inbox = trainer, learning, inbox
        self._untold: list[StepStats] = []
        """Steps that no line has told of yet."""
        self._untold_s = 0.0
        self._images_unseen = 0
        """Trained since the signals were last looked at."""
        self._look: Look | None = None
        """What was seen then."""
        self._warner = Warner(trainer.config.loss.is_relative)
        self._commands: queue.SimpleQueue[_Command] = queue.SimpleQueue()
        self._ended = False
        self.progress: Progress | None = None
        """Of the last spans to train, for others to read; None once they were dropped."""
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def train(self, ticket: int, spans: tuple[Span, ...], base: Tensor, version: int, images: int) -> None:
        """Drop what is under way; train ``spans`` from ``base``, of a version that counts ``images``."""
        self._commands.put(_Job(ticket, spans, base, version, images))

    def train_ahead(self, ticket: int, spans: tuple[Span, ...]) -> None:
        """The spans given to ``train`` are done: train these on top of them."""
        self._commands.put(_Ahead(ticket, spans))

    def rebase(self, base: Tensor, images: int, counted: bool) -> None:
        """Go on from ``base``, with what was learned since the old one on top.

        ``counted`` says that the spans given to ``train`` are in ``base``: then only what was learned
        after them is.
        """
        self._commands.put(_Rebase(base, images, counted))

    def share(self, asked: ShareDeviation) -> None:
        """Put into the inbox how far the weights are from the version, as they are when this is read."""
        self._commands.put(_Share(asked))

    def mix(self, how: Mix, deviation: Tensor) -> None:
        """Move towards another peer's deviation; what was learned stays what it is."""
        self._commands.put(_Mix(how, deviation))

    def stop(self) -> None:
        """Drop what is under way and idle."""
        self._commands.put(_Stop())

    def end(self, seconds: float) -> None:
        """End the thread after the microbatch under way."""
        self._commands.put(_End())
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            job: _Work | None = None
            while not self._ended:
                job = self._train(job) if job is not None else self._obey(self._commands.get(), None)
        except Exception as error:  # handed to the loop, which ends the peer with it
            self._inbox.put(ThreadDied(error))

    def _obey(self, command: _Command, job: _Work | None) -> _Work | None:
        """What is to be done after ``command``."""
        match command:
            case _Job():
                self._learning.start(command.base, command.version)
                self._trainer.at(command.images)
                return command
            case _Ahead():
                self._learning.start_ahead()
                return command
            case _Rebase(base, images, counted):
                self._learning.rebase(base, counted)
                self._trainer.at(images)
                return job
            case _Share(asked):
                self._inbox.put(DeviationReady(asked, self._learning.deviation(asked.step)))
                return job
            case _Mix(how, deviation):
                self._learning.mix(how.step, deviation, how.share)
                return job
            case _Stop():
                self.progress = None
                return None
            case _End():
                self._ended = True
                return None

    def _train(self, job: _Work) -> _Work | None:
        """Train all spans of ``job``; the work that replaced it, if some did."""
        began = time.perf_counter()
        images = images_in(job.spans)
        early = partial(self._part_ready, job.ticket)
        shown: list[StepStats] = []
        done = 0
        for span in job.spans:
            span_began = time.perf_counter()
            steps = []
            for start, stop in microbatches(span, self._trainer.config.step_images):
                replaced = self._commands_waiting(job)
                if replaced is not job:
                    return replaced
                stats, text = self._learning.step(span.epoch, start, stop, images, early)
                steps.append(stats)
                of_unit = stop - span.start
                self.progress = Progress(span.unit, of_unit, span.images, done + of_unit, images)
                self._notice(text)
            shown += steps
            done += span.images
            self._report(span, steps, time.perf_counter() - span_began)
        seconds = max(1e-6, time.perf_counter() - began)
        replaced = self._commands_waiting(job)
        if replaced is not job:
            return replaced
        contribution = self._learning.finish()
        told = _losses(shown, self._look)
        self._inbox.put(ContributionReady(job.ticket, contribution, images / seconds, told))
        return None

    def _part_ready(self, ticket: int, part: Part) -> None:
        self._inbox.put(PartReady(ticket, part.vector, part.start, part.stop))

    def _report(self, span: Span, steps: list[StepStats], seconds: float) -> None:
        self._untold += steps
        self._untold_s += seconds
        if sum(step.images for step in self._untold) < self._learning.report_images:
            return
        steps, seconds = self._untold, self._untold_s
        self._untold, self._untold_s = [], 0.0
        self._images_unseen += sum(step.images for step in steps)
        look = None
        if self._images_unseen >= LOOK_EVERY_IMAGES:
            self._look = look = self._trainer.look()
            self._images_unseen = 0
        stats = summarise(span.unit, span.epoch, steps, seconds, look)
        self._inbox.put(SpanTrained(span, stats))
        if look is not None and any(step.finite for step in steps):
            self._notice(self._warner.after(stats), collapsed(stats))

    def _notice(self, text: str | None, collapsed: bool = False) -> None:
        if text is not None:
            self._inbox.put(TrainingNoticed(text, collapsed))

    def _commands_waiting(self, job: _Work) -> _Work | None:
        """Obey everything that came in the meantime."""
        now: _Work | None = job
        while not self._ended:
            try:
                now = self._obey(self._commands.get_nowait(), now)
            except queue.Empty:
                break
        return now


def _losses(steps: list[StepStats], look: Look | None) -> Losses | None:
    """Means over the images; None if no step was finite."""
    if not any(step.finite for step in steps):
        return None
    means = summarise(0, 0, steps, 0.0, look)
    healthy = signals(
        means.sign_real, means.grad_g, means.grad_d, means.r1, means.sign_held_out, means.diversity
    )
    return losses(means.loss_g, means.loss_d, means.d_real, means.d_fake, healthy)


def microbatches(span: Span, size: int) -> list[tuple[int, int]]:
    """Positions of a span's microbatches; only the last may be smaller."""
    return [(start, min(start + size, span.stop)) for start in range(span.start, span.stop, size)]
