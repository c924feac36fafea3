"""An own sharding among processes: each peer has images of its own, and each image counts once."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pgan.cli import main
from p2pgan.gan.data import open_images, training_images
from p2pgan.gan.sharding import SHARDINGS
from p2pgan.peer.config import merge, run_config
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.swarm import SMALL, Swarm

PARITY = """
import torch


def parity(images, seed):
    return (images.labels_of(torch.arange(images.count)) % 2).numpy()
"""
"""Even digits are a part, odd ones are another."""


def test_each_peer_trains_a_part_of_its_own_and_nobody_takes_part_without_the_file(
    postgres: EmbeddedPostgres,
    swarms: Callable[[EmbeddedPostgres], Swarm],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "parity.py"
    file.write_text(PARITY)
    swarm = swarms(postgres)
    swarm.create({"gan": {"sharding": f"{file}:parity"}})
    swarm.start("ada", "ben", arguments=("--sharding", f"{file}:parity"))
    swarm.together("ada", "ben")
    before = swarm.committed
    swarm.grow(6)
    swarm.end()

    gan = run_config(merge(SMALL, {"gan": {"sharding": f"{file}:parity"}})).gan
    parts = training_images(gan, open_images("digits", 32)).parts
    assert parts is not None and len(parts.ends) == 2
    trained = {peer: Counter[int]() for peer in swarm.names()}
    for record in swarm.history():
        for contribution in record.contributions if record.version > before else ():
            for span in contribution.spans:
                trained[contribution.peer][bisect_right(parts.ends, span.start)] += span.images
                assert span.stop <= parts.ends[bisect_right(parts.ends, span.start)], "of one part"
    favourites = {max(counts, key=lambda part: counts[part]) for counts in trained.values()}
    assert favourites == {0, 1}, trained

    monkeypatch.setattr(SHARDINGS, "_known", {})
    sharding = ("--sharding", f"{file}:other")
    for arguments, line in (
        ((), "parity is somebody's own; give its file"),
        (sharding, "defines no function"),
    ):
        assert main.run(["join", "--rendezvous", swarm.dsn, "--run", swarm.run, *arguments]) == 2
        assert line in capsys.readouterr().err
