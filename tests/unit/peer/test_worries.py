"""What a peer says when it waits too long, and that it says so once."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from p2pgan.peer.wall import SURE_S, Wall
from p2pgan.peer.worries import IDLE_S, UNHEARD_S, Worries
from p2pgan.protocol.config import ProtocolConfig
from p2pgan.protocol.core import PeerView
from p2pgan.protocol.events import PeerInfo
from p2pgan.protocol.machine import Machine
from p2pgan.protocol.messages import Heartbeat, Phase
from p2pgan.transport import Ways

CONFIG = ProtocolConfig(images=100, unit_images=10, microbatch=1, vector_size=10, schema_hash="s")
ADDRESS = "tcp://10.0.0.5:7000"


@dataclass
class Peer:
    """A peer's worries, and what they look at."""

    trains: bool = True
    ways: Ways = field(default_factory=Ways)
    said: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = Machine(CONFIG, "ada", "gan", trains=self.trains)
        self.wall = Wall(self.machine.core, lambda: self.ways)
        self.worries = Worries(self.machine, ADDRESS, self.wall, lambda *note: self.said.append(note))

    def knows(self, name: str, gone: bool = False, can_lead: bool = True, heard: bool = False) -> None:
        view = PeerView(PeerInfo(name, can_lead, gone, name))
        if heard:
            view.heard_at = self.machine.core.now
            view.beat = Heartbeat(run="gan", term=1, version=0, digest="", phase=Phase.CATCHING_UP)
        self.machine.core.peers[name] = view

    def looks(self, *times: float) -> list[str]:
        """What is said at these times."""
        before = len(self.said)
        for now in times:
            self.worries.look(now)
        return [text for _, text in self.said[before:]]


@pytest.fixture
def ada() -> Peer:
    return Peer()


def test_nobody_heard_is_said_once_each_time(ada: Peer) -> None:
    ada.knows("ben")
    assert ada.looks(0.0, UNHEARD_S - 0.1) == []
    (text,) = ada.looks(UNHEARD_S, UNHEARD_S + 1)
    assert "1 other peer should be here, none can be dialled and none is heard" in text
    assert text.endswith("(troubleshooting.md#firewall)")
    ada.knows("ben", gone=True)
    ada.looks(UNHEARD_S + 2)
    ada.knows("ben")
    assert len(ada.looks(100.0, 100.0 + UNHEARD_S)) == 1


def test_a_peer_whom_nobody_can_dial_is_told_what_to_change(ada: Peer) -> None:
    ada.knows("ben")
    ada.knows("cleo")
    ada.ways = Ways(out=frozenset({"ben"}))
    ada.machine.core.walled = True
    (text,) = ada.looks(0.0, UNHEARD_S)
    assert f"nobody can dial this peer at {ADDRESS}, though it dials 1 of 2 other peers" in text
    assert "open or forward that port and the next one" in text and "--advertise" in text
    assert text.endswith("(troubleshooting.md#firewall)")


def test_others_who_have_been_here_and_say_nothing_are_another_matter(ada: Peer) -> None:
    ada.knows("ben")
    ada.ways = Ways(out=frozenset({"ben"}), inward=frozenset({"ben"}))
    (text,) = ada.looks(0.0, UNHEARD_S)
    assert "should be here and none is heard: has the network broken" in text


@pytest.mark.parametrize(
    ("ways", "stands"),
    [
        (Ways(), False),
        (Ways(out=frozenset({"ben"})), True),
        (Ways(out=frozenset({"ben"}), inward=frozenset({"cleo"})), False),
        (Ways(out=frozenset({"gone", "order"})), False),
        (Ways(out=frozenset({"ben"}), inward=frozenset({"order"})), True),
    ],
)
def test_a_wall_lets_out_and_nobody_in(ada: Peer, ways: Ways, stands: bool) -> None:
    ada.knows("ben")
    ada.knows("cleo")
    ada.knows("gone", gone=True)
    ada.knows("order", can_lead=False)
    ada.ways = ways
    assert not any(ada.wall.stands(now) for now in (0.0, SURE_S - 0.1))
    assert ada.wall.stands(SURE_S) is stands
    ada.ways = Ways(out=ways.out, inward=frozenset({"ben"}))
    assert not ada.wall.stands(SURE_S + 1.0)


def test_who_only_orders_images_is_not_missed(ada: Peer) -> None:
    ada.knows("order", can_lead=False)
    assert ada.looks(0.0, UNHEARD_S) == []


def test_a_leader_says_whom_it_hears_and_cannot_dial(ada: Peer) -> None:
    ada.knows("ben", heard=True)
    ada.knows("cleo", heard=True)
    ada.ways = Ways(out=frozenset({"ben"}))
    assert ada.looks(0.0, UNHEARD_S) == [], "a follower leaves that to its leader"
    ada.machine.core.leader = "ada"
    (text,) = ada.looks(30.0, 30.0 + UNHEARD_S, 31.0 + UNHEARD_S)
    assert text.startswith("cleo is heard, but cannot be dialled")
    assert ada.said[-1][0] == "network"
    ada.ways = Ways(out=frozenset({"ben", "cleo"}))
    assert ada.looks(60.0, 60.0 + UNHEARD_S) == []


def test_a_peer_without_work_says_so(ada: Peer) -> None:
    assert ada.looks(0.0, 2 * IDLE_S) == [], "it has no weights yet, which the log says in other words"
    ada.machine.core.digest = "d"
    (text,) = ada.looks(200.0, 200.0 + IDLE_S)
    assert text.endswith("(troubleshooting.md#no-open-work)")


def test_a_peer_that_trains_nothing_does_not_wait_for_work() -> None:
    helper = Peer(trains=False)
    helper.machine.core.digest = "d"
    assert helper.looks(0.0, 2 * IDLE_S) == []
