"""Mixing with tensors: deviations on their way to the others of a group, and from them to the training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from p2pgan.averaging.codec import codec
from p2pgan.averaging.finite import is_finite
from p2pgan.errors import PeerFault
from p2pgan.peer.inbox import DeviationReady, Inbox
from p2pgan.peer.training import TrainingThread
from p2pgan.protocol.effects import Mix, ShareDeviation
from p2pgan.protocol.events import DeviationArrived
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import BlobHeader, BlobKind
from p2pgan.transport import BlobArrived, Transport

CODEC = "fp16"
"""What is lost of a deviation is lost to the way between two versions, and to no version."""


class Mixer:
    """Used by the peer's loop alone."""

    def __init__(
        self,
        run: str,
        elements: int,
        training: TrainingThread,
        transport: Transport,
        inbox: Inbox,
        offences: Counter[PeerId],
        accepts: Callable[[PeerId, int, int, int], bool],
    ) -> None:
        """``accepts`` says of (sender, term, version, step) whether a deviation is of use."""
        self._run, self._elements = run, elements
        self._training, self._transport, self._inbox = training, transport, inbox
        self._offences, self._accepts = offences, accepts
        self._trained_from: int | None = None
        self._stored: dict[PeerId, tuple[DeviationArrived, memoryview]] = {}

    def trains_from(self, version: int | None) -> None:
        """The training under way is from that version; None if there is none."""
        self._trained_from = version
        self._stored.clear()

    def share(self, effect: ShareDeviation) -> None:
        if effect.version == self._trained_from:
            self._training.share(effect)

    def shared(self, item: DeviationReady) -> None:
        """The training says how far it is: send it on, unless steps have failed there."""
        if not is_finite(item.deviation):
            return
        e, payload = item.asked, codec(CODEC).encode(item.deviation, allocate=self._transport.allocate)
        header = BlobHeader(
            run=self._run,
            term=e.term,
            kind=BlobKind.DEVIATION,
            round=e.version,
            attempt=e.step,
            index=0,
            codec=CODEC,
            length=len(payload),
            digest="",
        )
        for peer in e.to:
            self._transport.send_blob(peer, header, payload)

    def arrived(self, arrival: BlobArrived) -> None:
        """Keep what can be mixed with, the newest of each sender."""
        header, sender = arrival.header, arrival.sender
        event = DeviationArrived(sender, header.term, header.round, header.attempt)
        if self._accepts(sender, header.term, header.round, header.attempt):
            self._stored[sender] = event, arrival.payload
            self._inbox.put(event)

    def mix(self, effect: Mix) -> None:
        event, payload = self._stored.pop(effect.sender, (None, memoryview(b"")))
        if event is None or (event.version, event.step) != (self._trained_from, effect.step):
            return
        try:
            deviation = codec(CODEC).decode(payload, self._elements)
        except PeerFault:
            self._offences[effect.sender] += 1
        else:
            self._training.mix(effect, deviation)
