"""An order over real sockets: peers that draw, die, refuse or cheat, and a table that a test writes."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import P2pganError, RendezvousUnavailable
from p2pgan.gan.config import GanConfig
from p2pgan.gan.models import layout_for
from p2pgan.gan.sampling import Generator
from p2pgan.peer.answering import Answering
from p2pgan.peer.averaged import AveragedGenerators
from p2pgan.peer.drawer import Drawer
from p2pgan.peer.inbox import BatchDrawn, BatchFailed, Inbox
from p2pgan.peer.orderer import Orderer, Wanted
from p2pgan.peer.presence import Presence
from p2pgan.protocol.messages import BlobHeader, BlobKind, DrawRefused, DrawRequest
from p2pgan.rendezvous import PeerList, PeerRow
from p2pgan.transport import Keys, MessageArrived, PeerAddress, Transport, new_keys

GAN = GanConfig.model_validate({"model": {"width": 8, "latent_dim": 8}})
LAYOUT = layout_for(GAN.model)
_VECTOR = 0.1 * torch.randn(LAYOUT.size, generator=torch.Generator().manual_seed(1))
EMA = _VECTOR[LAYOUT.slice_of("G")]
SIZE = 4
BATCHES = 24
FIRSTS = [SIZE * number for number in range(BATCHES)]
WITHIN_S = 60.0
Answer = Callable[["Helper", DrawRequest], None]


def alone(first: int) -> Tensor:
    return Generator(GAN, EMA, "cpu", SIZE).batch(first, 3)


class Patient(Generator):
    """Draws the first batch at once, and the others only when the peers had their turn."""

    def __init__(self) -> None:
        super().__init__(GAN, EMA, "cpu", SIZE)
        self.turn = threading.Event()

    def batch(self, first: int = 0, *more: Any, **named: Any) -> Tensor:
        if first:
            assert self.turn.wait(WITHIN_S), "the peers did not draw"
        return super().batch(first, *more, **named)


class Table:
    """The rendezvous, as far as who orders asks it."""

    def __init__(self) -> None:
        self.rows: list[PeerRow] = []
        self.away = False

    def list_peers(self, _run: int) -> PeerList:
        if self.away:
            raise RendezvousUnavailable("away")
        return PeerList(1, tuple(self.rows))

    def add(self, name: str, keys: Keys, address: PeerAddress, can_lead: bool = True) -> None:
        places = (address.control, address.bulk)
        row = PeerRow(keys.public, name, "cpu", "active", *places, can_lead, 0.0, 0, "", 0.0)
        self.rows.append(row)


class Helper:
    """A peer of the run: ``answer`` is called for each request, on a thread of its own."""

    def __init__(self, answer: Answer) -> None:
        self.keys, self.inbox, self._answer = new_keys(), Inbox(), answer
        self.transport = Transport(self.keys, deliver=self.inbox.deliver)
        self.address = self.transport.start()
        self.asked: list[DrawRequest] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.orders = ""
        vectors = cast(Any, SimpleNamespace(averaged=lambda _version: EMA))
        self._drawer = Drawer(self.inbox)
        generators = AveragedGenerators(GAN, torch.device("cpu"), lambda _version: EMA)
        self.answering = Answering("run", vectors, generators, self._drawer, self.transport, str)

    def know(self, who: Keys, address: PeerAddress) -> None:
        self.orders = who.public
        self.transport.set_peers({who.public: address})
        self.answering.start()
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(WITHIN_S)
        self._drawer.end(WITHIN_S)
        self.transport.close()

    def die(self) -> None:
        """Say nothing any more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                item = self.inbox.get(timeout=0.02)
            except queue.Empty:
                continue
            match item:
                case MessageArrived(_, DrawRequest() as request):
                    self.asked.append(request)
                    self._answer(self, request)
                case BatchDrawn():
                    self.answering.drawn(item)
                case BatchFailed():
                    self.answering.failed(item)

    def send(self, request: DrawRequest, payload: bytes, **changes: Any) -> None:
        facts: dict[str, Any] = {
            "run": "run", "term": 0, "kind": BlobKind.IMAGES, "round": 0, "attempt": request.order,
            "index": request.first, "codec": "rgb8", "length": len(payload), "digest": blob_digest(payload),
        }  # fmt: skip
        self.transport.send_blob(self.orders, BlobHeader(**{**facts, **changes}), payload)


def honest(helper: Helper, request: DrawRequest) -> None:
    helper.answering.asked(helper.orders, request)


class Scene:
    """Who orders, and the peers it can ask."""

    def __init__(self, stack: ExitStack) -> None:
        self.table, self.told, self._stack = Table(), list[str](), stack
        self.keys, self.inbox = new_keys(), Inbox()
        self.transport = Transport(self.keys, deliver=self.inbox.deliver)
        stack.callback(self.transport.close)
        self.address = self.transport.start()

    def peer(self, name: str, answer: Answer = honest) -> Helper:
        helper = Helper(answer)
        self._stack.callback(helper.close)
        helper.know(self.keys, self.address)
        self.table.add(name, helper.keys, helper.address)
        return helper

    def orderer(self, generator: Any = None) -> Orderer:
        run = cast(Any, SimpleNamespace(id=1, name="run"))
        me, table = self.keys.public, cast(Any, self.table)
        presence = Presence(me, self.address.control, table, run, self.inbox, self.transport)
        generator = generator or Generator(GAN, EMA, "cpu", SIZE)
        orderer = Orderer(presence, generator, Wanted(0, 3, None, None), self.told.append)
        self._stack.callback(orderer.end)
        return orderer

    def order(self, enough: Callable[[Orderer], bool]) -> dict[str, int]:
        """Draw; this machine draws on only when ``enough`` was done by others. Who drew how many batches."""
        patient, got = Patient(), dict[int, Tensor]()
        orderer = self.orderer(patient)
        for first, images in orderer.draw(FIRSTS):
            assert first not in got
            got[first] = images
            if enough(orderer):
                patient.turn.set()
        patient.turn.set()
        assert sorted(got) == FIRSTS
        for first, images in got.items():
            assert torch.equal(images, alone(first))
        assert enough(orderer), self.told
        return {orderer.names[peer] if peer else "": count for peer, count in orderer.drawn.items()}


@pytest.fixture
def scene() -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(stack)


def test_the_images_of_several_are_those_of_one(scene: Scene) -> None:
    for name in ("ada", "ben"):
        scene.peer(name)
    drew = scene.order(lambda orderer: len(orderer.drawn) == 3)
    assert set(drew) == {"", "ada", "ben"}
    assert sum(drew.values()) == BATCHES


def test_a_peer_that_dies_costs_no_image(scene: Scene) -> None:
    answered = itertools.count()

    def dies(helper: Helper, request: DrawRequest) -> None:
        if next(answered) == 2:
            helper.die()
        else:
            honest(helper, request)

    scene.peer("ada")
    ben = scene.peer("ben", dies)
    drew = scene.order(lambda _: len(ben.asked) >= 3)
    assert sum(drew.values()) == BATCHES
    assert drew.get("ben", 0) <= 1


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda helper, r: helper.send(r, b"x" * 99), "it sent 99 bytes of rgb8, not images"),
        (lambda helper, r: helper.send(r, bytes(SIZE * 3 * 32 * 32), codec="png"), "12288 bytes of png"),
        (lambda helper, r: helper.send(r, bytes(SIZE * 3 * 32 * 32), digest=""), "not images"),
        (lambda helper, r: helper.send(r, bytes(SIZE * 3 * 32 * 32)), "its images are not this machine's"),
        (lambda helper, r: helper.send(r, bytes(SIZE * 3 * 32 * 32), index=SIZE), "nobody asked it for"),
        (
            lambda helper, r: helper.transport.send(
                helper.orders,
                DrawRefused(
                    run="run", term=0, order=r.order, first=r.first, busy=False, reason="no such version"
                ),
            ),
            "no such version",
        ),
    ],
    ids=["short", "another codec", "no digest", "other images", "not asked for", "refused"],
)
def test_what_is_wrong_is_told_and_left_out(scene: Scene, answer: Answer, line: str) -> None:
    scene.peer("eve", answer)
    orderer = scene.orderer()
    drawing = orderer.draw(range(0, 200_000 * SIZE, SIZE))
    for first, images in drawing:
        assert torch.equal(images, alone(first))
        if scene.told:
            break
    assert line in scene.told[0]
    assert scene.told[0].startswith("eve draws nothing: ")
    assert scene.told[1:] == ["no peer of the run draws: this machine draws the rest"]
    assert set(orderer.drawn) == {None}


def test_an_answer_to_an_earlier_order_is_passed_over(scene: Scene) -> None:
    def twice(helper: Helper, request: DrawRequest) -> None:
        helper.send(request, bytes(SIZE * 3 * 32 * 32), attempt=request.order ^ 1)
        honest(helper, request)

    scene.peer("eve", twice)
    scene.order(lambda orderer: len(orderer.drawn) == 2)
    assert not any("draws nothing" in text for text in scene.told)


def test_other_orders_in_the_table_are_not_asked(scene: Scene) -> None:
    other = scene.peer("other-orders")
    (row,) = scene.table.rows
    scene.table.rows = []
    scene.table.add("other-orders", other.keys, other.address, can_lead=False)
    assert scene.order(lambda _: True) == {"": BATCHES}
    assert other.asked == []
    assert scene.told == ["no peer of the run draws: this machine draws the rest"]


def test_without_the_database_this_machine_draws_on(scene: Scene) -> None:
    scene.table.away = True
    assert scene.order(lambda _: True) == {"": BATCHES}


def test_a_machine_that_cannot_draw_says_so(scene: Scene) -> None:
    class Full:
        digest, batch_size, config = "ab", SIZE, GAN

        def batch(self, *_: object) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    orderer = scene.orderer(generator=Full())
    with pytest.raises(P2pganError, match="this machine cannot draw: .* try a smaller --batch-size"):
        list(orderer.draw(FIRSTS))
