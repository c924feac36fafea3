"""What a peer draws for others: what, how much of its time, and what it refuses."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
import torch
from blake3 import blake3

from p2pgan.averaging.digest import vector_digest
from p2pgan.averaging.outer import Movement
from p2pgan.averaging.rules import rule
from p2pgan.errors import InternalError, RendezvousUnavailable, WeightsError
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import layout_for
from p2pgan.gan.sampling import Generator
from p2pgan.peer.answering import MOST_UNTAKEN_BYTES, SHARE, Answering
from p2pgan.peer.averaged import LOAD_EVERY_S, AveragedGenerators
from p2pgan.peer.drawer import Drawer
from p2pgan.peer.inbox import BatchDrawn, BatchFailed, Inbox, ThreadDied
from p2pgan.peer.vectors import Vectors, first_snapshot
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import MOST_IMAGES, BlobHeader, BlobKind, DrawRefused, DrawRequest
from p2pgan.protocol.requests import MOST_WAITING

GAN = GanConfig.model_validate({"model": {"width": 8, "latent_dim": 8}})
CPU = torch.device("cpu")
WITHIN_S = 60.0


@pytest.fixture
def vectors() -> Vectors:
    layout = layout_for(GAN.model)
    made = Vectors(layout, outer=Movement(1.0), half_life=1000.0, rule=rule("mean"))
    theta = 0.1 * torch.randn(layout.size, generator=torch.Generator().manual_seed(1))
    made.install(first_snapshot(layout, theta, 0))
    return made


def ema_of(vectors: Vectors) -> torch.Tensor:
    return vectors.base().ema


def request(vectors: Vectors, first: int = 0, **changes: Any) -> DrawRequest:
    facts: dict[str, Any] = {"version": 0, "digest": vector_digest(ema_of(vectors)), "seed": 3, "images": 4}
    return DrawRequest(run="run", term=0, order=9, first=first, **{**facts, **changes})


class Wire:
    """Stands where the transport is."""

    def __init__(self) -> None:
        self.refused: list[tuple[PeerId, DrawRefused]] = []
        self.blobs: list[tuple[PeerId, BlobHeader, bytes]] = []
        self.held = 0

    def send(self, to: PeerId, message: DrawRefused) -> None:
        self.refused.append((to, message))

    def send_blob(self, to: PeerId, header: BlobHeader, payload: bytes) -> None:
        self.blobs.append((to, header, bytes(payload)))

    def bytes_held(self, _peer: PeerId) -> int:
        return self.held


class Scene:
    """A peer that is asked, with its drawing thread."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors, self.wire, self.inbox = vectors, Wire(), Inbox()
        self.loads: list[int] = []
        self.now = 0.0
        self.drawer = Drawer(self.inbox)
        generators = AveragedGenerators(GAN, CPU, self._load, lambda: self.now)
        self.told: list[PeerId] = []
        wire, tell = cast(Any, self.wire), self.told.append
        self.answering = Answering("run", vectors, generators, self.drawer, wire, tell, lambda: self.now)

    def _load(self, version: int) -> torch.Tensor:
        self.loads.append(version)
        if version != 7:
            raise WeightsError(f"the weights of version {version} are not stored")
        return torch.zeros_like(ema_of(self.vectors))

    def go_on(self) -> None:
        """Take what the drawing thread has to say next."""
        match self.inbox.get(timeout=WITHIN_S):
            case BatchDrawn() as drawn:
                self.answering.drawn(drawn)
            case BatchFailed() as failed:
                self.answering.failed(failed)
            case item:
                raise AssertionError(item)

    def why(self) -> list[tuple[PeerId, bool, str]]:
        return [(to, refused.busy, refused.reason) for to, refused in self.wire.refused]


@pytest.fixture
def scene(vectors: Vectors) -> Any:
    made = Scene(vectors)
    made.answering.start()
    yield made
    made.drawer.end(WITHIN_S)


def test_the_images_are_those_that_one_machine_draws(scene: Scene, vectors: Vectors) -> None:
    scene.answering.asked("ann", request(vectors, 8, truncation=1.5))
    scene.go_on()
    ((to, header, payload),) = scene.wire.blobs
    alone = Generator(GAN, ema_of(vectors), CPU, 4).batch(8, 3, None, 1.5)
    assert payload == alone.numpy().tobytes()
    assert (to, header.kind, header.round, header.attempt, header.index) == ("ann", BlobKind.IMAGES, 0, 9, 8)
    assert (header.codec, header.length) == ("rgb8", 4 * 3 * 32 * 32)
    assert header.digest == blake3(payload).hexdigest()


def test_who_asks_for_more_than_its_share_waits_in_turn(scene: Scene, vectors: Vectors) -> None:
    for number in range(100):
        scene.answering.asked("eve", request(vectors, 4 * number))
    scene.answering.asked("ann", request(vectors, 0))
    waiting = 1 + MOST_WAITING
    assert scene.why() == [("eve", True, "2 batches of yours wait already")] * (100 - waiting)
    for _ in range(waiting + 1):
        scene.go_on()
    assert [(to, header.index) for to, header, _ in scene.wire.blobs][:3] == [
        ("eve", 0),
        ("eve", 4),
        ("ann", 0),
    ]


def test_who_does_not_take_what_was_drawn_gets_no_more(scene: Scene, vectors: Vectors) -> None:
    scene.wire.held = MOST_UNTAKEN_BYTES + 1
    scene.answering.asked("eve", request(vectors))
    assert scene.why() == [("eve", True, "what was drawn for you is not taken yet")]
    assert scene.wire.blobs == []


def test_it_says_for_whom_it_draws_once_a_minute(scene: Scene, vectors: Vectors) -> None:
    for at, sender in ((0.0, "ann"), (1.0, "ann"), (2.0, "bob"), (61.0, "ann")):
        scene.now = at
        scene.answering.asked(sender, request(vectors))
        scene.go_on()
    assert scene.told == ["ann", "bob", "ann"]


def test_other_weights_are_refused(scene: Scene, vectors: Vectors) -> None:
    scene.answering.asked("ann", request(vectors, digest="ab" * 32))
    scene.go_on()
    assert scene.why() == [("ann", False, "it has other weights of version 0")]


def test_a_version_that_is_not_here_is_loaded_but_not_time_and_again(scene: Scene, vectors: Vectors) -> None:
    stored = vector_digest(torch.zeros_like(ema_of(vectors)))
    for first in (0, 4):
        scene.answering.asked("ann", request(vectors, first, version=7, digest=stored))
        scene.go_on()
    assert (scene.loads, len(scene.wire.blobs)) == ([7], 2)
    for version in range(100, 120):
        scene.answering.asked("eve", request(vectors, version=version))
        scene.go_on()
    assert scene.loads == [7]
    assert set(scene.why()) == {("eve", True, "it loaded other weights a moment ago")}
    scene.now = LOAD_EVERY_S
    scene.answering.asked("eve", request(vectors, version=100))
    scene.go_on()
    assert scene.why()[-1] == ("eve", False, "the weights of version 100 are not stored")
    # Nobody's generator is lost by it.
    scene.answering.asked("ann", request(vectors))
    scene.go_on()
    assert len(scene.wire.blobs) == 3


def test_a_class_that_does_not_exist_is_refused(scene: Scene, vectors: Vectors) -> None:
    scene.answering.asked("eve", request(vectors, label=5))
    scene.go_on()
    assert scene.why() == [("eve", False, "there is no class 5: it was trained without classes")]


def test_another_run_gets_no_answer(scene: Scene, vectors: Vectors) -> None:
    scene.answering.asked("eve", DrawRequest(**{**_fields(request(vectors)), "run": "other"}))
    assert (scene.wire.refused, scene.wire.blobs) == ([], [])
    assert scene.inbox.empty()


def test_who_leaves_gives_back_what_waits(vectors: Vectors) -> None:
    made = Scene(vectors)  # its thread does not run
    for first in (0, 4):
        made.answering.asked("ann", request(vectors, first))
    made.answering.leave()
    assert made.why() == [("ann", False, "it leaves")] * 2


def _fields(struct: DrawRequest) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


# -- the thread ----------------------------------------------------------------------------------


class Slow:
    """A generator that takes two seconds of the test's clock for each batch."""

    def __init__(self) -> None:
        self.now = 0.0

    def batch(self, *_: object) -> torch.Tensor:
        self.now += 2.0
        return torch.zeros(4, 3, 32, 32, dtype=torch.uint8)


def test_however_much_is_asked_for_a_quarter_of_the_time_is_drawn(vectors: Vectors) -> None:
    slow, rested = Slow(), []

    def rest(seconds: float) -> None:
        rested.append(seconds)
        slow.now += seconds

    inbox = Inbox()
    drawer = Drawer(inbox, SHARE, lambda: slow.now, rest)
    for number in range(50):
        drawer.draw("eve", request(vectors, number), lambda: cast(Generator, slow))
    drawer.start()
    for _ in range(50):
        assert isinstance(inbox.get(timeout=WITHIN_S), BatchDrawn)
    drawer.end(WITHIN_S)
    assert rested[:49] == [6.0] * 49
    assert 2.0 * 49 / (slow.now - 8.0) == pytest.approx(SHARE, rel=0.05) == 0.25


def test_a_thread_that_is_ended_does_not_rest_on(vectors: Vectors) -> None:
    inbox, clock = Inbox(), itertools.count(0.0, 1000.0)
    drawer = Drawer(inbox, SHARE, lambda: next(clock))
    drawer.start()
    drawer.draw("ann", request(vectors), lambda: Generator(GAN, ema_of(vectors), CPU, 4))
    assert isinstance(inbox.get(timeout=WITHIN_S), BatchDrawn)
    drawer.end(WITHIN_S)
    assert not drawer._thread.is_alive()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RendezvousUnavailable("gone"), (True, "gone")),
        (WeightsError("damaged"), (False, "damaged")),
        (torch.OutOfMemoryError("CUDA out of memory"), (False, "its device has no memory left for it")),
    ],
)
def test_what_cannot_be_drawn_has_its_reason(
    error: Exception, outcome: tuple[bool, str], vectors: Vectors
) -> None:
    def source() -> Generator:
        raise error

    inbox = Inbox()
    drawer = Drawer(inbox)
    drawer.draw("ann", request(vectors), source)
    drawer.start()
    failed = inbox.get(timeout=WITHIN_S)
    assert isinstance(failed, BatchFailed)
    assert (failed.busy, failed.reason) == outcome
    drawer.end(WITHIN_S)


@pytest.mark.parametrize("error", [InternalError("a defect"), RuntimeError("a defect")])
def test_a_defect_ends_whoever_draws(error: Exception, vectors: Vectors) -> None:
    def source() -> Generator:
        raise error

    inbox = Inbox()
    drawer = Drawer(inbox)
    drawer.draw("ann", request(vectors), source)
    drawer.start()
    died = inbox.get(timeout=WITHIN_S)
    assert isinstance(died, ThreadDied)
    assert died.error is error
    drawer.end(WITHIN_S)


def test_a_batch_is_no_larger_than_what_a_leader_draws_anyway() -> None:
    from p2pgan.peer.database import SAMPLE_IMAGES

    assert MOST_IMAGES == SAMPLE_IMAGES
