"""Peers that mean harm by what they contribute: the honest ones go on, with equal and sane weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from p2pgan.averaging.flatten import layout_of
from p2pgan.dashboard.server import Dashboard
from p2pgan.gan.models import build
from p2pgan.lab.process import PeerProcess
from p2pgan.peer.config import stored_config
from p2pgan.peer.snapshot import decode_snapshot
from p2pgan.protocol.shares import FIRST_MICROBATCHES, LARGEST_GROWTH, MOST_MEDIANS
from p2pgan.rendezvous import EmbeddedPostgres
from p2pgan.rendezvous.rows import PeerStatus
from tests.contract.dashboard.test_api import get
from tests.integration.run.conftest import postgres, swarms
from tests.integration.run.processes import DEADLINE_S, start_command
from tests.integration.run.swarm import Swarm

__all__ = ["postgres", "swarms"]

HONEST = ("ada", "ben", "cleo")
ROUNDS = 4
"""Versions in which harm counts before it is looked at what came of it."""
SANE = 20.0
"""No weight of these nets comes near it in a minute; a single one of x1e6 unclipped is thousands away."""


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    """Three honest peers; the first of them leads, and stays."""
    made = swarms(postgres)
    made.create()
    made.start("ada")
    made.until(made.leader, "a leader")
    made.start("ben", "cleo")
    made.together(*HONEST)
    return made


@contextmanager
def hostile(swarm: Swarm, *kinds: str) -> Iterator[list[PeerProcess]]:
    """A peer for each kind of harm, named after it; they leave in order, as if nothing had been."""
    peers = []
    for kind in kinds:
        peers += swarm.start(kind, program=("tests.attacks.hostile", kind))
    yield peers
    swarm.leave(*peers)


def theta(swarm: Swarm) -> Tensor:
    """The weights of the last commit."""
    row = swarm.database.find_run(swarm.run)
    manifest = swarm.database.read_manifest(row.id)
    blob = b"".join(swarm.database.read_chunks(row.id, manifest.chunks))
    config = stored_config(row.config).gan
    return decode_snapshot(layout_of(*build(config.model, config.seed)), manifest, blob, memory=0)[0]


def said_by_status(swarm: Swarm, *more: str) -> str:
    said, complaint = start_command(swarm.dsn, "status", "--run", swarm.run, *more).communicate(
        timeout=DEADLINE_S
    )
    assert not complaint
    return said


def peers_by_name(swarm: Swarm) -> dict[str, PeerStatus]:
    return {peer["name"]: peer for peer in swarm.status()["peers"]}


def images_of(swarm: Swarm, name: str) -> list[int]:
    """What each contribution of a peer in committed weights says it covers, oldest first."""
    names = swarm.names()
    history = sorted(swarm.history(), key=lambda record: record.version)
    return [c.images for record in history for c in record.contributions if names.get(c.peer) == name]


def contributors(swarm: Swarm) -> set[str]:
    """Whose work the last ten versions have."""
    names = swarm.names()
    return {names[c.peer] for record in swarm.history()[-10:] for c in record.contributions}


def still_sound(swarm: Swarm) -> None:
    """The honest have equal weights, of sane size, in a version that is still to come."""
    swarm.agree(*(swarm.peers[name] for name in HONEST))
    weights = theta(swarm)
    assert torch.isfinite(weights).all()
    assert float(weights.abs().max()) < SANE
    assert swarm.problems() == []


def test_who_sends_nonsense_is_set_aside_and_everyone_sees_it(swarm: Swarm) -> None:
    with hostile(swarm, "nan", "inf"):
        swarm.until(
            lambda: all(peers_by_name(swarm).get(kind, {}).get("set_aside") for kind in ("nan", "inf")),
            "both are set aside",
        )
        told = {peer["name"]: peer for peer in json.loads(said_by_status(swarm, "--json"))["peers"]}
        page = said_by_status(swarm)
        with Dashboard(swarm.dsn, port=0) as dashboard:
            shown = get(dashboard, f"/api/status?run={swarm.run}").told
            metrics = get(dashboard, "/metrics").body.decode()
        assert isinstance(shown, dict)
        on_dashboard = {peer["name"]: peer for peer in shown["peers"]}
        for kind in ("nan", "inf"):
            assert "rejected 3 times in a row" in " ".join(
                e.text for e in swarm.database.events(swarm.run_id)
            )
            assert "not finite" in told[kind]["set_aside"]
            assert on_dashboard[kind]["set_aside"] == told[kind]["set_aside"]
            assert told[kind]["offences"] >= 3
            assert f"{kind} is set aside: " in page
            assert f'name="{kind}"}} 1' in "\n".join(
                line for line in metrics.splitlines() if line.startswith("p2pgan_peer_set_aside")
            )
            assert images_of(swarm, kind) == []
        assert {told[name]["set_aside"] for name in HONEST} == {""}
        assert page.count("set aside") >= 4  # in the table, and in a line for each
        still_sound(swarm)


@pytest.mark.parametrize("kinds", [("x1e6", "noise"), ("sign-flip", "stale")], ids=" and ".join)
def test_harm_that_is_a_vector_counts_no_more_than_honest_work(swarm: Swarm, kinds: tuple[str, str]) -> None:
    with hostile(swarm, *kinds):
        swarm.until(
            lambda: all(len(images_of(swarm, kind)) >= ROUNDS for kind in kinds), "harm in a few versions"
        )
        still_sound(swarm)


def test_boasting_wins_bounded_work_and_silences_nobody(swarm: Swarm) -> None:
    """Without the last bound the boaster would have two million images by then, a thousand passes."""
    with hostile(swarm, "boast"):
        swarm.until(lambda: len(images_of(swarm, "boast")) >= 9, "the boaster in nine versions")
        boasted, honest = images_of(swarm, "boast"), [images_of(swarm, name) for name in HONEST]
        config = stored_config(swarm.database.find_run(swarm.run).config).gan
        # A little more is handed out at the ends of units and passes.
        some = config.step_images
        assert boasted[0] <= FIRST_MICROBATCHES * config.step_images + some
        usual, steps = max(map(max, honest)), zip(boasted, boasted[1:], strict=False)
        assert all(after <= max(LARGEST_GROWTH * before, usual) + some for before, after in steps)
        assert max(boasted) <= MOST_MEDIANS * max(map(max, honest)) + some
        before = theta(swarm)
        still_sound(swarm)
        assert set(HONEST) <= contributors(swarm)
        assert not torch.equal(before, theta(swarm))
