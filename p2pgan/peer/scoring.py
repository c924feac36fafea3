"""Scores of committed versions, on a thread of their own: drawn images against those of the run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property

from torch import Tensor

from p2pgan.errors import ConfigError, DatasetError, P2pganError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.sampling import Generator
from p2pgan.gan.scores.features import Extractor
from p2pgan.gan.scores.score import Reference
from p2pgan.journal import ScoreLine
from p2pgan.peer.inbox import Inbox, ThreadDied
from p2pgan.peer.log import Log
from p2pgan.peer.memory import Memory
from p2pgan.peer.vectors import Snapshot
from p2pgan.rendezvous import ScoreRow

SEED = 1
"""Of the drawn images and of the choice of real ones: scores of a run compare with each other."""


class _Ended(Exception):
    """The peer does not wait for the score under way."""


class Scorer:
    """Scores one version after the other; one that comes while another is scored is passed over."""

    def __init__(
        self,
        gan: GanConfig,
        images: ImageSet,
        extractor: Extractor,
        number: int,
        memory: Memory,
        inbox: Inbox,
        log: Log,
        write: Callable[[ScoreRow], None],
    ) -> None:
        """``write`` puts a score into the database; ``number`` images are drawn for each."""
        self._gan, self._images, self._extractor, self._number = gan, images, extractor, number
        self._memory, self._inbox, self._log, self._write = memory, inbox, log, write
        self._waiting: queue.SimpleQueue[Snapshot | None] = queue.SimpleQueue()
        self._free, self._ended = threading.Event(), threading.Event()
        self._free.set()
        self._thread = threading.Thread(target=self._run, name="scores", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def free(self) -> bool:
        """Whether nothing is scored now, and nothing has gone wrong for good."""
        return self._free.is_set()

    def score(self, snapshot: Snapshot) -> None:
        """Score a version; only to be called while ``free``."""
        self._free.clear()
        self._waiting.put(snapshot)

    def end(self, seconds: float) -> None:
        """Drop what is under way, within a bounded time."""
        self._ended.set()
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while (snapshot := self._waiting.get()) is not None:
                self._take(snapshot)
                self._free.set()
        except _Ended:
            return
        except (ConfigError, DatasetError) as error:
            self._log.note("score", f"no version is scored any more: {error}")
        except Exception as error:  # handed to the loop, which ends the peer with it
            self._inbox.put(ThreadDied(error))

    def _take(self, snapshot: Snapshot) -> None:
        scores = self._reference.compare(self._drawn(snapshot), ["fid"])
        (fid,) = scores.scores
        kind = self._extractor
        # Rounding may leave a distance a little below zero.
        value, floor = max(0.0, fid.value), max(0.0, fid.floor)
        line = ScoreLine(snapshot.version, value, floor, scores.drawn, kind.name, kind.digest)
        self._memory.add_score(line)
        self._log.note("score", f"version {line.version}: FID {line.fid:.3f}, floor {line.floor:.3f}")
        try:
            self._write(ScoreRow(**asdict(line)))
        except P2pganError as error:
            self._log.note("score", f"that of version {line.version} is in the journal alone: {error}")

    def _drawn(self, snapshot: Snapshot) -> Iterator[Tensor]:
        for batch in Generator(self._gan, snapshot.ema).batches(self._number, SEED):
            if self._ended.is_set():
                raise _Ended
            yield batch

    @cached_property
    def _reference(self) -> Reference:
        return Reference(self._images, self._number, self._extractor, SEED)
