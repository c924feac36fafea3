"""Who comes late, and who may not come at all."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from statistics import median

import pytest

from p2pgan.journal import Journal
from p2pgan.lab.process import PeerProcess
from p2pgan.protocol.messages import Heartbeat, Phase
from p2pgan.rendezvous import EmbeddedPostgres, PeerRegistration
from p2pgan.transport import Arrival, MessageArrived, PeerAddress, Tally, Transport, new_keys
from tests.integration.run.processes import DEADLINE_S
from tests.integration.run.swarm import Swarm

LONGEST_ROUND_S = 3.5
"""A round of one second cannot be longer than that without having waited for somebody.

The shortest wait of the protocol is that for a silent member, 2.5 s on top of the round's second.
Below this a round may take 1.5 times its median and more because three processes share two
processors: that is the machine, not the protocol.
"""


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create()
    made.start("ada", "ben")
    return made


def rounds(swarm: Swarm, peer: PeerProcess) -> list[tuple[float, float]]:
    """When each round of ``peer`` ended, and how long it took."""
    with Journal(peer.journal) as journal:
        return [(entry.at, entry.line.seconds) for entry in journal.rounds(swarm.run)]


def test_a_late_joiner_counts_and_nobody_waits_for_it(swarm: Swarm) -> None:
    swarm.together("ada", "ben")
    swarm.grow(6)
    others = list(swarm.peers.values())
    began_at = time.time()
    # At a lower priority: starting Python and torch is not to slow down the others' training.
    (late,) = swarm.start("cleo", launcher=["nice", "-n", "5"])
    swarm.together("ada", "ben", "cleo")

    with Journal(late.journal) as journal:
        first = journal.versions(swarm.run)[0]
        texts = [e.text for e in journal.events(swarm.run)]
    assert any(text.startswith(f"fetching version {first.record.version - 1}") for text in texts)
    for peer in others:
        usual = median(s for at, s in rounds(swarm, peer)[1:] if at < began_at)
        meanwhile = [s for at, s in rounds(swarm, peer) if began_at <= at <= first.at]
        assert meanwhile
        assert max(meanwhile) <= max(1.5 * usual, LONGEST_ROUND_S)
    assert swarm.problems() == []


@pytest.fixture
def stranger(swarm: Swarm) -> Iterator[tuple[Transport, PeerRegistration, queue.SimpleQueue[Arrival]]]:
    """Somebody with a key of its own who knows the run, its peers and where they listen."""
    arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
    keys = new_keys()
    with Transport(keys, deliver=arrivals.put) as transport:
        listens = transport.start()
        present = [p for p in swarm.database.list_peers(swarm.run_id).peers if p.present]
        transport.set_peers({p.id: PeerAddress(p.control_address, p.bulk_address) for p in present})
        registration = PeerRegistration(keys.public, "eve", "cpu", listens.control, listens.bulk, False)
        yield transport, registration, arrivals


def test_an_unregistered_key_exchanges_no_message(
    swarm: Swarm, stranger: tuple[Transport, PeerRegistration, queue.SimpleQueue[Arrival]]
) -> None:
    transport, registration, arrivals = stranger
    status = swarm.status()
    leader = status["leader"]
    assert leader is not None
    beat = Heartbeat(run=swarm.run, term=status["term"], version=0, digest="", phase=Phase.IDLE)
    transport.send(leader, beat)
    swarm.grow(3)
    assert transport.counters().get(Tally.MESSAGES_SENT, 0) == 0
    with pytest.raises(queue.Empty):
        arrivals.get_nowait()

    swarm.database.register_peer(swarm.run_id, registration)
    arrived = arrivals.get(timeout=DEADLINE_S)
    assert isinstance(arrived, MessageArrived), "the same key, once it is registered"
    assert arrived.sender in {peer["id"] for peer in status["peers"]}
    swarm.until(lambda: transport.counters().get(Tally.MESSAGES_SENT), "the message leaves")
