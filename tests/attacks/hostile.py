"""A peer that keeps to the protocol in all but what it contributes.

Run as a program, in the place of p2pgan: the kind of harm, then p2pgan's own arguments. What it puts into
rounds replaces what it learned; everything else, sockets and database included, is p2pgan's.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from p2pgan.averaging.codec.raw import put
from p2pgan.cli.main import main
from p2pgan.peer import run
from p2pgan.peer.inbox import ContributionReady
from p2pgan.peer.training import TrainingThread, _Work
from p2pgan.peer.vectors import Vectors
from p2pgan.protocol.effects import SendSlice

BOAST_IMAGES_PER_S = 1e9


class Stale:
    """What it contributed first, for ever."""

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def __call__(self, learned: Tensor) -> Tensor:
        if self._first is None:
            self._first = learned.clone()
        return self._first


HARM: dict[str, Callable[[Tensor], Tensor]] = {
    "nan": lambda learned: torch.full_like(learned, math.nan),
    "inf": lambda learned: torch.full_like(learned, math.inf),
    "x1e6": lambda learned: learned * 1e6,
    "sign-flip": lambda learned: -learned,
    "noise": lambda learned: torch.randn_like(learned) * learned.std() * 10,
    "stale": Stale(),
    "boast": torch.zeros_like,
}


class HostileVectors(Vectors):
    """Sends harm instead of what was learned; NaN and infinity too, which p2pgan's codecs refuse to send.

    In the default codec, fp16: the elements of one-dimensional tensors as they are, then all of them.
    """

    harm: Callable[[Tensor], Tensor]

    def own_slice(self, effect: SendSlice) -> memoryview:
        payload = super().own_slice(effect)
        assert self.contribution is not None
        harmful = type(self).harm(self.contribution)[effect.shard.start : effect.shard.stop]
        most = torch.finfo(torch.float16).max
        # What is finite arrives as such.
        sent = torch.where(harmful.isfinite(), harmful.clamp(-most, most), harmful)
        start = put(payload, 0, harmful[self.coding.exact_in(effect.shard)], torch.float32)
        assert put(payload, start, sent, torch.float16) == len(payload)
        return payload


class Boaster(TrainingThread):
    """Trains nothing, says so at once, and claims to be the fastest of all."""

    def _train(self, job: _Work) -> None:
        nothing = self._learning.finish()
        self._inbox.put(ContributionReady(job.ticket, nothing, BOAST_IMAGES_PER_S, None))


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    HostileVectors.harm = HARM[kind]
    run.Vectors = HostileVectors
    if kind == "boast":
        run.TrainingThread = Boaster
    main()
