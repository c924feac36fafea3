"""Draws what others ask for, a batch at a time, and never in the way of training."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from p2pgan.averaging.digest import blob_digest
from p2pgan.failpoints import pass_by
from p2pgan.peer.averaged import AveragedGenerators
from p2pgan.peer.drawer import Drawer
from p2pgan.peer.inbox import BatchDrawn, BatchFailed
from p2pgan.peer.vectors import Vectors
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import MOST_IMAGES, BlobHeader, BlobKind, DrawRefused, DrawRequest
from p2pgan.protocol.requests import Requests
from p2pgan.transport import Transport

SHARE = 0.25
"""Of its time a peer draws for others, at most."""
MOST_UNTAKEN_BYTES = 16 << 20
"""Of images that were drawn for somebody who does not take them; nothing more is drawn for it meanwhile."""
TELL_S = 60.0
"""Between two lines about the same one who asks."""
PIXELS = "rgb8"
"""How images travel: uint8, image by image, channel by channel, row by row."""


def pixel_bytes(images: int, resolution: int) -> int:
    """Length of so many images."""
    return images * 3 * resolution * resolution


def most_bytes(resolution: int) -> int:
    """Length of the largest batch that is drawn for others."""
    return pixel_bytes(MOST_IMAGES, resolution)


class Answering:
    """Used by the peer's loop alone; the drawing itself is on a thread."""

    def __init__(
        self,
        run: str,
        vectors: Vectors,
        generators: AveragedGenerators,
        drawer: Drawer,
        transport: Transport,
        tell: Callable[[PeerId], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``tell`` notes for people that images are drawn for somebody."""
        self._tell, self._clock = tell, clock
        self._told: dict[PeerId, float] = {}
        self._run, self._vectors, self._generators = run, vectors, generators
        self._drawer, self._transport = drawer, transport
        self._requests = Requests()
        self._under_way: tuple[PeerId, DrawRequest] | None = None

    def start(self) -> None:
        self._drawer.start()

    def asked(self, sender: PeerId, request: DrawRequest) -> None:
        """Draw a batch for ``sender`` when it is its turn, or say that there is no room for it."""
        if request.run != self._run or self._under_way == (sender, request):
            return
        if self._transport.bytes_held(sender) > MOST_UNTAKEN_BYTES:
            full: str | None = "what was drawn for you is not taken yet"
        else:
            full = self._requests.add(sender, request)
        if full is not None:
            self._refuse(sender, request, full, busy=True)
        self._go_on()

    def drawn(self, item: BatchDrawn) -> None:
        """Send the images, and go on with the next batch."""
        pass_by("drawing")
        request, payload = item.request, item.images.contiguous().numpy().tobytes()
        header = BlobHeader(
            run=self._run,
            term=0,
            kind=BlobKind.IMAGES,
            round=request.version,
            attempt=request.order,
            index=request.first,
            codec=PIXELS,
            length=len(payload),
            digest=blob_digest(payload),
        )
        self._transport.send_blob(item.sender, header, payload)
        self._done()

    def failed(self, item: BatchFailed) -> None:
        """Say why it was not drawn, and go on with the next batch."""
        self._refuse(item.sender, item.request, item.reason, item.busy)
        self._done()

    def leave(self) -> None:
        """Give back what is not drawn yet."""
        if self._under_way is not None:
            self._refuse(*self._under_way, "it leaves", busy=False)
        while (waiting := self._requests.next()) is not None:
            self._refuse(*waiting, "it leaves", busy=False)

    def _done(self) -> None:
        self._under_way = None
        self._go_on()

    def _go_on(self) -> None:
        if self._under_way is None and (waiting := self._requests.next()) is not None:
            self._under_way = waiting
            sender, request = waiting
            self._tell_now_and_then(sender)
            ema = self._vectors.averaged(request.version)
            self._drawer.draw(sender, request, partial(self._generators.of, request, ema))

    def _tell_now_and_then(self, sender: PeerId) -> None:
        now = self._clock()
        if now - self._told.get(sender, -TELL_S) >= TELL_S:
            self._told[sender] = now
            self._tell(sender)

    def _refuse(self, sender: PeerId, request: DrawRequest, reason: str, busy: bool) -> None:
        refused = DrawRefused(
            run=self._run, term=0, order=request.order, first=request.first, busy=busy, reason=reason[:200]
        )
        self._transport.send(sender, refused)
