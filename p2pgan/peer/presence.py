"""A key in a run's table of peers that takes part in no round: whoever has something to ask of the peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from p2pgan.errors import RendezvousUnavailable
from p2pgan.peer.identity import take_identity
from p2pgan.peer.inbox import Inbox
from p2pgan.peer.listening import transport_of
from p2pgan.peer.options import JoinOptions
from p2pgan.protocol.ids import PeerId
from p2pgan.rendezvous import PeerRegistration, Rendezvous, RunRow
from p2pgan.transport import Transport, load_keys

DEVICE = "order"
"""Stands where a peer's device is: the table tells by it why this one never trains."""


@dataclass(frozen=True)
class Presence:
    """What it takes to speak with the peers of a run."""

    me: PeerId
    address: str
    """What others are told to dial for control."""
    rendezvous: Rendezvous
    run: RunRow
    inbox: Inbox
    transport: Transport


@contextmanager
def presence(
    rendezvous: Rendezvous,
    run: RunRow,
    options: JoinOptions,
    longest: int,
    tell: Callable[[str], None],
    device: str = DEVICE,
) -> Iterator[Presence]:
    """Registered within the block; nobody sends it blobs of more than ``longest`` bytes.

    ``device`` stands where a peer's device is: it says what this one is there for. The key is kept under
    the name in ``options``, so that many orders are one peer in the table. ``tell`` gets lines for people.

    Raises:
        ConfigError: a port is taken, or this machine's address cannot be found out.
        RunError: the run has finished.
        RendezvousError: the rendezvous cannot be reached, or this login may not register a peer.
    """
    with ExitStack() as stack:
        options, folder = take_identity(options, named=False)
        stack.callback(folder.release)
        keys, inbox = load_keys(folder.path), Inbox()
        transport = transport_of(options, keys, inbox, longest)
        address = transport.start()
        stack.callback(transport.close)
        registration = PeerRegistration(
            keys.public, options.name, device, address.control, address.bulk, False, folder.instance
        )
        rendezvous.register_peer(run.id, registration)
        try:
            yield Presence(keys.public, address.control, rendezvous, run, inbox, transport)
        finally:
            _say_goodbye(rendezvous, run, keys.public, tell)


def _say_goodbye(rendezvous: Rendezvous, run: RunRow, me: PeerId, tell: Callable[[str], None]) -> None:
    try:
        rendezvous.set_peer_state(run.id, me, "left")
    except RendezvousUnavailable as error:
        tell(f"could not note that this machine is done: {error}")
