"""A deviation's way from one peer's training to another's."""

from __future__ import annotations

import queue
from collections import Counter
from typing import cast

import pytest
import torch
from torch import Tensor

from p2pgan.averaging.codec.raw import fresh_memory
from p2pgan.peer.inbox import DeviationReady, Inbox
from p2pgan.peer.mixing import Mixer
from p2pgan.peer.training import TrainingThread
from p2pgan.protocol.effects import Mix, ShareDeviation
from p2pgan.protocol.events import DeviationArrived
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import BlobHeader
from p2pgan.transport import BlobArrived, Transport

ELEMENTS = 10
SHARE = ShareDeviation(term=3, version=7, step=2, to=("ben",))
MIX = Mix("ada", version=7, step=2, share=0.5)


class Training:
    def __init__(self) -> None:
        self.asked: list[ShareDeviation] = []
        self.mixed: list[tuple[Mix, Tensor]] = []

    def share(self, asked: ShareDeviation) -> None:
        self.asked.append(asked)

    def mix(self, how: Mix, deviation: Tensor) -> None:
        self.mixed.append((how, deviation))


class Post:
    def __init__(self) -> None:
        self.sent: list[tuple[PeerId, BlobHeader, memoryview]] = []
        self.allocate = fresh_memory

    def send_blob(self, peer: PeerId, header: BlobHeader, payload: memoryview) -> None:
        self.sent.append((peer, header, payload))


class Side:
    """A mixer and what is around it."""

    def __init__(self, accepts: bool = True) -> None:
        self.training, self.post, self.inbox = Training(), Post(), Inbox()
        self.offences: Counter[PeerId] = Counter()
        self.mixer = Mixer(
            "run",
            ELEMENTS,
            cast(TrainingThread, self.training),
            cast(Transport, self.post),
            self.inbox,
            self.offences,
            lambda *_: accepts,
        )
        self.mixer.trains_from(7)


def letter(deviation: Tensor) -> BlobArrived:
    """What ada sends when her training says how far it is."""
    ada = Side()
    ada.mixer.shared(DeviationReady(SHARE, deviation))
    ((to, header, payload),) = ada.post.sent
    assert to == "ben"
    return BlobArrived("ada", header, payload)


def test_a_deviation_comes_from_one_training_to_the_other() -> None:
    ada, ben, deviation = Side(), Side(), torch.arange(ELEMENTS) / 8
    ada.mixer.share(SHARE)
    assert ada.training.asked == [SHARE]

    ben.mixer.arrived(letter(deviation))
    assert ben.inbox.get() == DeviationArrived("ada", 3, 7, 2)
    ben.mixer.mix(MIX)

    ((how, arrived),) = ben.training.mixed
    assert how == MIX
    assert torch.equal(arrived, deviation)
    ben.mixer.mix(MIX)
    assert len(ben.training.mixed) == 1, "once"


def test_what_is_of_no_use_is_not_kept() -> None:
    ben = Side(accepts=False)
    ben.mixer.arrived(letter(torch.ones(ELEMENTS)))

    with pytest.raises(queue.Empty):
        ben.inbox.get()
    ben.mixer.mix(MIX)
    assert not ben.training.mixed


@pytest.mark.parametrize("version", [None, 8])
def test_a_training_from_other_weights_shares_and_mixes_nothing(version: int | None) -> None:
    ben = Side()
    ben.mixer.arrived(letter(torch.ones(ELEMENTS)))
    ben.mixer.trains_from(version)

    ben.mixer.share(SHARE)
    ben.mixer.mix(MIX)

    assert not ben.training.asked
    assert not ben.training.mixed


@pytest.mark.parametrize("payload", [bytes(2 * ELEMENTS - 2), b"\x00\x7e" * ELEMENTS], ids=["short", "nan"])
def test_a_deviation_that_cannot_be_is_refused_and_counted(payload: bytes) -> None:
    ben = Side()
    ben.mixer.arrived(BlobArrived("ada", letter(torch.ones(ELEMENTS)).header, memoryview(payload)))
    ben.mixer.mix(MIX)

    assert not ben.training.mixed
    assert ben.offences == {"ada": 1}


def test_a_deviation_that_is_not_finite_does_not_leave() -> None:
    ada = Side()
    ada.mixer.shared(DeviationReady(SHARE, torch.full((ELEMENTS,), torch.nan)))

    assert not ada.post.sent
