"""Peers of a run in one process, one after the other: the same averaging, without sockets and clocks.

Trainers are the real ones, and so are codecs with what they keep for the next round, the rule by which
deltas become one, the outer step and the averaged generator. What a real run has besides, and this has not:
training goes on while vectors travel, rounds are cut by time, and peers work at the same time. So a bench is
fair and repeatable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from p2pgan.averaging.codec import codec
from p2pgan.averaging.outer import take_step
from p2pgan.averaging.reduce import Rejected, aggregate
from p2pgan.averaging.rules import rule
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.ema import ema_update, half_life_at
from p2pgan.gan.trainer import Trainer
from p2pgan.peer.coding import Coding
from p2pgan.peer.config import run_config
from p2pgan.peer.learning import Gradients
from p2pgan.peer.outer import outer_of
from p2pgan.protocol.effects import Reduce, SendSlice
from p2pgan.protocol.ids import PeerId, VersionRecord
from p2pgan.protocol.messages import Shard


@dataclass(frozen=True)
class Arm:
    """One way to train. Every peer takes as many steps, unless it is slower, dies or comes late."""

    name: str
    peers: int = 4
    batch: int = 1
    """Times the bench's batch size."""
    every: int = 20
    """Steps of a peer between two averagings; 0: once, at the end."""
    sync: Literal["deltas", "gradients"] = "deltas"
    speeds: tuple[int, ...] = (1,)
    """How fast the peers are, over and over: who is faster has more steps in a round."""
    classes: Literal["all", "own", "two"] = "all"
    """Which a peer sees: its own part of the images in the order of their classes, or two of its own."""
    dies: float | None = None
    """The share of the training after which the first peer is gone, with the round it was in."""
    spoils: float | None = None
    """The share after which the last peer sends NaN only."""
    joins: float | None = None
    """The share after which the last peer comes."""
    averaged: Literal["G and D", "D"] = "G and D"
    ema: Literal["per round", "per step of a peer"] = "per round"
    wire: str = "fp16"
    preset: str | None = None
    """Its nets, loss and rates in place of the bench's, for as many images as four peers see."""
    bad: bool = False
    """A control that must come out worse than the clean arm."""

    @property
    def least_classes(self) -> int:
        """So many the data set must have; one without labels has none."""
        return {"all": 0, "own": 2, "two": 2 * self.peers}[self.classes]


ONE, FOUR_TIMES = Arm("one peer, batch b", peers=1, wire="fp32"), Arm("one peer, batch 4b", 1, 4, wire="fp32")
CLEAN = Arm("deltas, H = 20")
GRADIENTS = Arm("gradients", every=1, sync="gradients")
AT_ONCE = Arm("one peer, batch 4b, both networks at once", 1, 4, every=1, sync="gradients", wire="fp32")
"""What ``gradients`` is to equal: G and D take their gradients at the same weights, as there."""
AT_THE_END = Arm("control: averaged once, at the end", every=0, bad=True)
PRESETS = tuple(Arm(f"preset {name}", peers=1, preset=name, wire="fp32") for name in ("classic", "p2p"))
ARMS = (
    ONE,
    FOUR_TIMES,
    AT_ONCE,
    GRADIENTS,
    Arm("deltas, H = 1", every=1),
    Arm("deltas, H = 5", every=5),
    CLEAN,
    Arm("deltas, H = 100", every=100),
    Arm("speeds 1:1:2:4", speeds=(1, 1, 2, 4)),
    Arm("own classes each", classes="own"),
    Arm("two classes each", classes="two"),
    Arm("int8 wire", wire="int8"),
    Arm("leader killed half-way", dies=0.5),
    Arm("a peer sends NaN from a quarter on", spoils=0.25),
    Arm("a peer joins half-way", joins=0.5),
    AT_THE_END,
    Arm("control: D averaged, G not", averaged="D", bad=True),
    Arm("control: EMA per step of one peer", ema="per step of a peer", bad=True),
    *PRESETS,
)


class Work:
    """The steps of an epoch after another; what was handed out and lost is handed out again first."""

    def __init__(self, images: int, step_images: int) -> None:
        self._size = step_images
        self._in_epoch = images // step_images
        self._next = 0
        self._open: list[int] = []

    def take(self, count: int) -> list[int]:
        """Numbers of the next steps."""
        again, self._open = self._open[:count], self._open[count:]
        fresh = range(self._next, self._next + count - len(again))
        self._next = fresh.stop
        return [*again, *fresh]

    def give_back(self, steps: list[int]) -> None:
        """These were not done."""
        self._open += steps

    def place(self, step: int) -> tuple[int, int, int]:
        """Epoch, and the first and last position of a step."""
        epoch, number = divmod(step, self._in_epoch)
        return epoch, number * self._size, (number + 1) * self._size


class Swarm:
    """An arm's peers and the canonical weights."""

    def __init__(self, arm: Arm, config: GanConfig, images: ImageSet, steps: int) -> None:
        """``steps``: of each peer, one after the other."""
        self.arm, self.steps = arm, steps
        self.config = config.model_copy(update={"microbatch": config.microbatch * arm.batch})
        parts = _parts(images, arm)
        self.trainers = [Trainer(self.config, part) for part in parts]
        size = self.config.step_images
        shared = Work(images.count, size)
        self._work = [shared if part is images else Work(part.count, size) for part in parts]
        self.layout = self.trainers[0].layout
        self._g = self.layout.slice_of("G")
        self._whole = Shard(_name(0), 0, self.layout.size)
        self._coding = [Coding(self.layout) for _ in self.trainers]
        self.theta = self.trainers[0].theta()
        self._bases = [self.theta] * arm.peers
        run = run_config({"gan": self.config.model_dump(), "sync": {"mode": arm.sync}})
        self._outer = outer_of(run, self.layout)
        self._state = torch.zeros(self._outer.memory * self.layout.size)
        self._version = 0
        self.ema = self.theta[self._g].clone()
        self.images = 0
        """Counted."""
        self.rejected = 0
        """Contributions that were not valid."""

    def rounds(self) -> Iterator[float]:
        """Trains to the end; after each round the share of the training that is done."""
        every = self.arm.every or self.steps
        for done in range(0, self.steps, every):
            self._round(done / self.steps, min(every, self.steps - done))
            yield min(1.0, (done + every) / self.steps)

    def _round(self, share: float, steps: int) -> None:
        gradients = self.arm.sync == "gradients"
        sent, weights = {}, {}
        lost: list[int] = []
        for peer in self._members(share):
            own = self._work[peer].take(self._steps_of(peer, steps))
            contribution = self._differentiate(peer, own) if gradients else self._train(peer, own)
            if peer == 0 and self._dies_now(share, steps):
                lost = own
                continue
            sent[_name(peer)] = self._sent(peer, contribution, share)
            weights[_name(peer)] = len(own) * self.config.step_images
        self._apply(sent, weights)
        self._work[0].give_back(lost)

    def _members(self, share: float) -> list[int]:
        last = self.arm.peers - 1
        late = self.arm.joins is not None and share < self.arm.joins
        dead = self.arm.dies is not None and share > self.arm.dies
        return [peer for peer in range(self.arm.peers) if not (late and peer == last or dead and peer == 0)]

    def _dies_now(self, share: float, steps: int) -> bool:
        dies = self.arm.dies
        return dies is not None and share <= dies < share + steps / self.steps

    def _steps_of(self, peer: int, steps: int) -> int:
        speeds = [self.arm.speeds[index % len(self.arm.speeds)] for index in range(self.arm.peers)]
        return max(1, round(steps * speeds[peer] * len(speeds) / sum(speeds)))

    def _train(self, peer: int, steps: list[int]) -> Tensor:
        trainer = self.trainers[peer]
        trainer.load(self._bases[peer])
        trainer.at(self.images)
        for step in steps:
            trainer.train_microbatch(*self._work[peer].place(step))
            if peer == 0 and self.arm.ema == "per step of a peer":
                self._move_ema(trainer.theta(), self.config.step_images)
        return trainer.theta() - self._bases[peer]

    def _differentiate(self, peer: int, steps: list[int]) -> Tensor:
        learning = Gradients(self.trainers[peer])
        learning.start(self._bases[peer], self._version)
        images = len(steps) * self.config.step_images
        for step in steps:
            learning.step(*self._work[peer].place(step), images, lambda _part: None)
        return learning.finish()

    def _sent(self, peer: int, vector: Tensor, share: float) -> Tensor:
        if self.arm.spoils is not None and share >= self.arm.spoils and peer == self.arm.peers - 1:
            return torch.full_like(vector, torch.nan)
        effect = SendSlice(1, self._version + 1, 1, 0, self._whole, self.arm.wire)
        return self._received(self._coding[peer].slice(effect, vector))

    def _received(self, payload: memoryview) -> Tensor:
        vector = torch.empty(self.layout.size)
        exact = self._coding[0].exact_in(self._whole)
        codec(self.arm.wire).decode(payload, len(vector), exact, vector)
        return vector

    def _apply(self, sent: dict[PeerId, Tensor], weights: dict[PeerId, int]) -> None:
        """As owners and members do it; who sends what is not valid is left out, as the leader does."""
        parts = self.layout.parts_of(0, self.layout.size)
        while True:
            try:
                mean = aggregate(rule("clip"), sent, weights, parts)
                break
            except Rejected as rejected:
                self.rejected += 1
                sent = {peer: vector for peer, vector in sent.items() if peer != rejected.peer}
                weights = {peer: weight for peer, weight in weights.items() if peer in sent}
        self._version += 1
        reduce = Reduce(1, self._version, 1, 1, 0, self._whole, self.arm.wire, tuple(weights.items()))
        result = self._received(self._coding[0].result(reduce, mean))
        self.theta, self._state = take_step(
            self._outer, self.theta, self._state, result, self._version, self.images
        )
        self.images += sum(weights.values())
        record = VersionRecord(self._version, "", "", 1, 1, _name(0), self.images, ())
        for peer, coding in enumerate(self._coding):
            coding.settle(record, 1, _name(peer) in weights)
        self._bases = [self._base(peer) for peer in range(self.arm.peers)]
        if self.arm.ema == "per round":
            self._move_ema(self.theta, sum(weights.values()))

    def _base(self, peer: int) -> Tensor:
        if self.arm.averaged == "G and D":
            return self.theta
        base = self.theta.clone()
        base[self._g] = self.trainers[peer].theta()[self._g]
        return base

    def _move_ema(self, theta: Tensor, images: int) -> None:
        half_life = half_life_at(max(self.images, images), self.config.ema_half_life_images)
        self.ema = ema_update(self.ema, theta[self._g], images, half_life)


def _parts(images: ImageSet, arm: Arm) -> list[ImageSet]:
    """What each peer trains on."""
    if arm.classes == "all":
        return [images] * arm.peers
    labels = images.labels_of(torch.arange(images.count))
    if arm.classes == "own":
        parts = labels.argsort(stable=True).tensor_split(arm.peers)
    else:
        parts = tuple((labels // 2 == peer).nonzero().flatten() for peer in range(arm.peers))
    return [images.part(part) for part in parts]


def _name(peer: int) -> PeerId:
    return f"p{peer}"
