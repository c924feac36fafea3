"""Images that a run's peers draw while they train."""

from __future__ import annotations

import itertools
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from p2pgan.gan.sampling import Generator
from p2pgan.peer.options import JoinOptions
from p2pgan.peer.orderer import Orderer, Wanted
from p2pgan.peer.presence import presence
from p2pgan.peer.stored import read_generator
from p2pgan.protocol.messages import DrawRefused, DrawRequest
from p2pgan.rendezvous import EmbeddedPostgres, PeerRegistration, RunRow
from p2pgan.transport import Arrival, MessageArrived, PeerAddress, Transport, new_keys
from tests.integration.run.processes import DEADLINE_S, start_command
from tests.integration.run.swarm import Swarm

NAMES = ("ada", "ben", "cleo")
BATCHES = 150


class Patient(Generator):
    """Draws the first batch at once, and the others only when all peers had their turn."""

    turn = threading.Event()

    def batch(self, first: int = 0, *more: Any, **named: Any) -> torch.Tensor:
        if first:
            assert self.turn.wait(DEADLINE_S), "the peers did not draw"
        return super().batch(first, *more, **named)


@pytest.fixture(scope="module", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Who orders keeps its key there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PGAN_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create()
    made.start(*NAMES)
    made.together(*NAMES)
    return made


def generate(swarm: Swarm, out: Path, *more: str) -> str:
    """What the command says on stdout."""
    listen = ["--bind", "127.0.0.1"]
    command = start_command(swarm.dsn, "generate", "--run", swarm.run, "--out", str(out), *listen, *more)
    said, complaint = command.communicate(timeout=300)
    assert command.returncode == 0, complaint
    return said


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_the_death_of_a_peer_in_the_middle_changes_no_image(swarm: Swarm) -> None:
    stored = read_generator(swarm.dsn, swarm.run)
    generator = Patient(stored.config, stored.ema)
    firsts = [generator.batch_size * number for number in range(BATCHES)]
    options = JoinOptions(rendezvous=swarm.dsn, name="orders", bind="127.0.0.1")
    run = swarm.database.find_run(swarm.run)
    told: list[str] = []
    images: dict[int, torch.Tensor] = {}
    ben = swarm.peers["ben"]
    with presence(swarm.database, run, options, 1 << 20, told.append) as present:
        orderer = Orderer(present, generator, Wanted(stored.version, 3, None, 1.5), told.append)
        try:
            for first, batch in orderer.draw(firsts):
                images[first] = batch
                drew = {orderer.names[peer] for peer in orderer.drawn if peer is not None}
                if "ben" in drew and not ben.expected_end:
                    ben.arm("drawing", signal.SIGKILL)
                if drew == set(NAMES) and not ben.alive:
                    generator.turn.set()
        finally:
            orderer.end()
    assert drew == set(NAMES), told
    swarm.died(ben)
    assert sorted(images) == firsts
    for first in firsts:
        assert torch.equal(images[first], generator.batch(first, 3, None, 1.5))
    # Those who are left went on training, and go on.
    swarm.grow(1)


def test_a_folder_is_filled_by_peers_as_by_one_machine(swarm: Swarm, tmp_path: Path) -> None:
    # Version 0 stays in the database, and no peer has it in memory any more.
    wish = ["-n", "200", "--seed", "5", "--version", "0", "--batch-size", "16"]
    generate(swarm, tmp_path / "alone", *wish)
    said = generate(swarm, tmp_path / "spread", *wish, "--peers", "all")
    assert "batches drawn: this machine " in said
    assert len(content(tmp_path / "alone")) == 200
    assert content(tmp_path / "spread") == content(tmp_path / "alone")
    for number in range(0, 200, 3):
        (tmp_path / "spread" / f"{number:06d}.png").unlink()
    assert "133 of 200 images were there" in generate(swarm, tmp_path / "spread", *wish, "--peers", "all")
    assert content(tmp_path / "spread") == content(tmp_path / "alone")


def test_an_order_that_is_interrupted_leaves_and_is_gone_on_with(swarm: Swarm, tmp_path: Path) -> None:
    out = tmp_path / "spread"
    wish = ["--seed", "6", "--version", "0", "--peers", "all", "--batch-size", "16"]
    arguments = ["generate", "--run", swarm.run, "--out", str(out), "--bind", "127.0.0.1", *wish]
    command = start_command(swarm.dsn, *arguments, "-n", "100000")
    try:
        swarm.until(lambda: len(list(out.glob("*.png"))) >= 32, "the first images")
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=DEADLINE_S)
    finally:
        command.kill()
        command.communicate()
    assert command.returncode == 130
    (row,) = [
        p for p in swarm.database.list_peers(swarm.run_id).peers if not p.can_lead and p.name != "orders"
    ]
    assert (row.state, row.name.endswith("-orders")) == ("left", True)
    kept = sum((out / f"{number:06d}.png").exists() for number in range(100))
    assert f"{kept} of 100 images were there" in generate(swarm, out, *wish, "-n", "100")


def test_a_flood_of_orders_does_not_stop_the_training(swarm: Swarm) -> None:
    """Whoever is registered may ask for anything, as fast as it can."""
    arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
    keys, run = new_keys(), swarm.database.find_run(swarm.run)
    with Transport(keys, deliver=arrivals.put) as transport:
        listens = transport.start()
        places = (listens.control, listens.bulk)
        swarm.database.register_peer(run.id, PeerRegistration(keys.public, "eve", "cpu", *places, False))
        here = [p for p in swarm.database.list_peers(run.id).peers if p.present and p.can_lead]
        transport.set_peers({p.id: PeerAddress(p.control_address, p.bulk_address) for p in here})
        numbers = itertools.count()

        def flood() -> None:
            for number in itertools.islice(numbers, 100):
                for peer in here:
                    transport.send(peer.id, request(run, number))

        def is_refused() -> bool:
            flood()
            while not arrivals.empty():
                arrival = arrivals.get()
                if isinstance(arrival, MessageArrived) and isinstance(arrival.message, DrawRefused):
                    return True
            return False

        def grows() -> bool:
            flood()
            return swarm.committed >= target

        # Only once they know of this peer do the others hear it.
        swarm.until(is_refused, "a peer that is flooded")
        target = swarm.committed + 3
        swarm.until(grows, f"version {target}")
    swarm.database.set_peer_state(run.id, keys.public, "left")
    assert swarm.problems() == []


def request(run: RunRow, number: int) -> DrawRequest:
    return DrawRequest(
        run=run.name, term=0, order=number, version=number % 50, digest="ab" * 32, seed=1, first=0, images=64
    )


def test_when_no_peer_lives_this_machine_draws_all(swarm: Swarm, tmp_path: Path) -> None:
    swarm.kill_all()
    began = time.monotonic()
    said = generate(swarm, tmp_path / "spread", "-n", "5", "--peers", "all")
    assert len(content(tmp_path / "spread")) == 5
    assert "batches drawn: this machine 1\n" in said
    assert time.monotonic() - began < 120
