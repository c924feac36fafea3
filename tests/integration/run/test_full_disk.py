"""A disk that is full under what a command writes: one line, and nothing unfinished under its final name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from p2pgan.errors import ConfigError
from p2pgan.gan.weights import load_generator
from p2pgan.lab.disks import FILLER, SmallDisks, check_disks
from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.processes import start_command
from tests.integration.run.swarm import Swarm


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk without a byte of room."""
    place = tmp_path / "disk"
    with SmallDisks() as disks:
        try:
            check_disks()
            disks.mount(place)
        except ConfigError as refusal:
            pytest.skip(str(refusal))
        disks.fill(place)
        yield place


@pytest.fixture(scope="module")
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    """A run with version 0 in the database, and nobody there."""
    made = swarms(postgres)
    made.create()
    return made


def make_room(disk: Path, size: int) -> None:
    """Give back so many bytes."""
    filler = disk / FILLER
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - size)


def refused(dsn: str, *arguments: str) -> str:
    """What a command says that must end with exit code 1 and one line."""
    command = start_command(dsn, *arguments)
    _, complaint = command.communicate(timeout=240)
    assert command.returncode == 1, complaint
    lines = [line for line in complaint.splitlines() if line.startswith("p2pgan: ")]
    assert len(lines) == 1 and "Traceback" not in complaint
    assert "is full: free space, or choose another --out" in lines[0]
    return lines[0]


def left(disk: Path) -> list[str]:
    return sorted(path.name for path in disk.rglob("*") if path.is_file() and path.name != FILLER)


def test_an_export_leaves_nothing(swarm: Swarm, disk: Path) -> None:
    make_room(disk, 64 << 10)  # less than the weights
    target = disk / "faces.safetensors"
    assert str(target) in refused(swarm.dsn, "export", "--run", swarm.run, "--out", str(target))
    assert left(disk) == []


def test_drawn_images_are_whole_or_not_there(swarm: Swarm, disk: Path) -> None:
    run = ("generate", "--run", swarm.run)
    refused(swarm.dsn, *run, "--out", str(disk / "grid.png"))
    assert left(disk) == []

    make_room(disk, 40 << 10)
    refused(swarm.dsn, *run, "-n", "200", "--out", str(disk / "single"))
    listing, *names = sorted(left(disk), key=lambda name: name.endswith(".png"))
    assert listing == "images.json"
    assert 0 < len(names) < 200 and all(name.endswith(".png") for name in names)
    for name in names:
        with Image.open(disk / "single" / name) as image:
            image.load()


@pytest.mark.parametrize("room", [0, 8 << 10, 200 << 10], ids=["none", "some lines", "a few files"])
def test_a_training_keeps_what_was_whole(swarm: Swarm, disk: Path, room: int) -> None:
    make_room(disk, room)
    config = disk.parent / "small.yaml"
    config.write_text(
        "gan: {model: {name: dcgan, width: 8, latent_dim: 16}, microbatch: 16}\nunit_images: 128\n"
    )
    arguments = ("train", "--config", str(config), "--dataset", "digits", "--epochs", "40", "--threads", "1")
    refused(swarm.dsn, *arguments, "--out", str(disk / "trained"))
    for name in left(disk):
        file = disk / "trained" / name
        if name.endswith(".safetensors"):
            load_generator(file)
        elif name.endswith(".png"):
            with Image.open(file) as image:
                image.load()
        else:
            assert name == "losses.csv"
            lines = file.read_text().splitlines(keepends=True)
            assert len(lines) >= 2, "the head alone says nothing"
            assert {line.count(",") for line in lines} == {lines[0].count(",")}
            assert lines[-1].endswith("\n")
    assert ("losses.csv" in left(disk)) == (room > 0)
