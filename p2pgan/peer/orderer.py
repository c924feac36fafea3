"""Has the peers of a run draw images, and draws with them."""

from __future__ import annotations

import queue
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from p2pgan.errors import P2pganError
from p2pgan.gan.sampling import Generator
from p2pgan.peer.answering import PIXELS, pixel_bytes
from p2pgan.peer.drawer import Drawer
from p2pgan.peer.inbox import BatchDrawn, BatchFailed, Item, ThreadDied
from p2pgan.peer.line import Line
from p2pgan.peer.presence import Presence
from p2pgan.peer.table import peers_read
from p2pgan.protocol.draws import (
    Answered,
    Ask,
    DrawHere,
    Drawn,
    Event,
    HungUp,
    Keep,
    Looked,
    PeersSeen,
    Refused,
    Tell,
    Wrong,
)
from p2pgan.protocol.events import DatabaseFailed, LinkEnded, PeersRead
from p2pgan.protocol.ids import PeerId
from p2pgan.protocol.messages import BlobKind, DrawRefused, DrawRequest
from p2pgan.protocol.ordering import Ordering
from p2pgan.protocol.texts import SHORT_ID
from p2pgan.transport import BlobArrived, MessageArrived, PeerAddress

LOOK_S = 0.1
READ_PEERS_S = 5.0
"""Between two looks at the table of peers."""
END_S = 5.0
"""Each thread has so long to end."""

Happened = Iterator[tuple[Event, Tensor | None]]
"""Events, and the images that came with them."""


@dataclass(frozen=True)
class Wanted:
    """All that decides what the images are; the weights are the generator's."""

    version: int
    seed: int
    label: int | None
    truncation: float | None


class Orderer:
    """Draws one order. ``end`` it, whatever became of it."""

    def __init__(
        self,
        presence: Presence,
        generator: Generator,
        wanted: Wanted,
        tell: Callable[[str], None],
    ) -> None:
        """``tell`` gets lines for people."""
        self._presence, self._generator, self._wanted, self._tell = presence, generator, wanted, tell
        self.drawn: Counter[PeerId | None] = Counter()
        """Batches that were kept, by who drew them; None is this machine."""
        self.names: dict[PeerId, str] = {}
        self._number = secrets.randbits(62)
        self._resolution = generator.config.model.resolution
        self._drawer = Drawer(presence.inbox)
        self._line = Line("rendezvous", presence.inbox)
        self._reading, self._next_read = False, 0.0
        self._trial: Tensor | None = None
        """What this machine drew for the first batch."""
        self._early: dict[PeerId, Tensor] = {}
        """What peers drew for it before."""

    def end(self) -> None:
        """Stop drawing; wait a moment for what is under way."""
        self._drawer.end(END_S)
        self._line.end(END_S)

    def draw(self, firsts: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        """The batches that begin at ``firsts``, as they come: index of the first image, and images.

        Each is drawn whole, as ``Generator.batch`` does it.

        Raises:
            P2pganError: this machine cannot draw.
        """
        self._drawer.start()
        self._line.start()
        ordering = Ordering(firsts)
        while not ordering.finished:
            self._read_peers_now_and_then()
            for event, images in self._happened(self._next_item(), firsts[0]):
                for effect in ordering.handle(time.monotonic(), event):
                    match effect:
                        case Ask(peer, first):
                            self._presence.transport.send(peer, self._request(first))
                        case DrawHere(first):
                            self._drawer.draw(
                                self._presence.me, self._request(first), lambda: self._generator
                            )
                        case Keep(first, peer):
                            assert images is not None
                            self.drawn[peer] += 1
                            yield first, images
                        case Tell(text):
                            self._tell(text)

    def _request(self, first: int) -> DrawRequest:
        wanted = self._wanted
        return DrawRequest(
            run=self._presence.run.name,
            term=0,
            order=self._number,
            version=wanted.version,
            digest=self._generator.digest,
            seed=wanted.seed,
            label=wanted.label,
            truncation=wanted.truncation,
            first=first,
            images=self._generator.batch_size,
        )

    # -- what comes in -----------------------------------------------------------------------

    def _next_item(self) -> Item | None:
        try:
            return self._presence.inbox.get(timeout=LOOK_S)
        except queue.Empty:
            return None

    def _happened(self, item: Item | None, trial: int) -> Happened:
        match item:
            case BatchDrawn(request=request, images=images):
                yield from self._drawn_here(request.first, images, trial)
            case BatchFailed(reason=reason):
                raise P2pganError(f"this machine cannot draw: {reason}; try a smaller --batch-size")
            case BlobArrived():
                yield from self._blob_arrived(item, trial)
            case MessageArrived(sender, DrawRefused() as refused) if refused.order == self._number:
                yield Refused(sender, refused.first, refused.busy, refused.reason), None
            case LinkEnded(peer):
                yield HungUp(peer), None
            case PeersRead():
                self._reading = False
                yield PeersSeen(self._names_of(item)), None
            case DatabaseFailed():  # those who were seen last go on drawing
                self._reading = False
            case ThreadDied(error):
                raise error
            case _:
                yield Looked(), None

    def _drawn_here(self, first: int, images: Tensor, trial: int) -> Happened:
        yield Drawn(first), images
        if first == trial:
            self._trial = images
            for peer, theirs in self._early.items():
                yield Answered(peer, trial, _difference(images, theirs)), None
            self._early = {}

    def _blob_arrived(self, blob: BlobArrived, trial: int) -> Happened:
        header, size = blob.header, self._generator.batch_size
        if (header.kind, header.attempt) != (BlobKind.IMAGES, self._number):
            return  # of an order that is over
        length = pixel_bytes(size, self._resolution)
        if len(blob.payload) != length or header.codec != PIXELS or not header.digest:
            yield Wrong(blob.sender, f"it sent {len(blob.payload)} bytes of {header.codec}, not images"), None
            return
        images = torch.frombuffer(blob.payload, dtype=torch.uint8)
        images = images.view(size, 3, self._resolution, self._resolution)
        if header.index != trial:
            yield Answered(blob.sender, header.index), images
        elif self._trial is None:
            self._early[blob.sender] = images
        else:
            yield Answered(blob.sender, trial, _difference(self._trial, images)), None

    # -- who is here -------------------------------------------------------------------------

    def _read_peers_now_and_then(self) -> None:
        now = time.monotonic()
        if not self._reading and now >= self._next_read:
            self._reading, self._next_read = True, now + READ_PEERS_S
            self._line.put("ReadPeers", self._read_peers)

    def _read_peers(self) -> None:
        """On the thread that may wait for the rendezvous."""
        presence = self._presence
        table = presence.rendezvous.list_peers(presence.run.id)
        here = peers_read(table)
        draw = {info.id for info in here.peers if not info.gone and info.can_lead}
        addresses = {p.id: PeerAddress(p.control_address, p.bulk_address) for p in table.peers}
        presence.transport.set_peers({peer: addresses[peer] for peer in draw})
        presence.inbox.put(here)

    def _names_of(self, here: PeersRead) -> dict[PeerId, str]:
        """Of those who draw: other orders stand in the table as well, but cannot lead."""
        names = {
            info.id: f"{info.name} ({info.id[:SHORT_ID]})" if info.name in here.shared_names else info.name
            for info in here.peers
            if not info.gone and info.can_lead
        }
        self.names |= names
        return names


def _difference(ours: Tensor, theirs: Tensor) -> int:
    """Grey levels between the worst pixels."""
    return int((ours.short() - theirs.short()).abs().max())
