"""The commands that only look at a run, as processes, on a real Postgres with a run in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from p2pgan import load_generator
from p2pgan.averaging.digest import blob_digest, chunk
from p2pgan.averaging.flatten import flatten, layout_of
from p2pgan.gan.models import build
from p2pgan.peer.config import run_config
from p2pgan.peer.vectors import first_snapshot
from p2pgan.rendezvous import EmbeddedPostgres, open_rendezvous

STATUS_KEYS = (
    "run version committed_version digest term leader epoch images images_per_s last_commit_age_s units peers"
    " scores best_version signals traffic"
)


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres with one run, ``faces``, at version 0."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as postgres:
        _create_run(postgres.dsn, "faces")
        yield postgres.dsn


def _create_run(dsn: str, name: str) -> None:
    config = run_config({"gan": {"model": {"width": 8}}})
    generator, discriminator = build(config.gan.model, config.gan.seed)
    layout = layout_of(generator, discriminator)
    theta = flatten(layout, generator, discriminator)
    first = first_snapshot(layout, theta, memory=0)
    with open_rendezvous(dsn) as rendezvous:
        rendezvous.migrate()
        rendezvous.create_run(
            name,
            config.model_dump(mode="json"),
            {"count": 1797, "resolution": 32, "digest": "0" * 64},
            layout.schema_hash,
            config.unit_images,
            first.manifest,
            [(blob_digest(piece), piece) for piece in chunk(first.blob)],
        )


def _p2pgan(*arguments: str, dsn: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "p2pgan", *arguments],
        env={**os.environ, "P2PGAN_RENDEZVOUS": dsn, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_status_gives_the_documented_keys(dsn: str) -> None:
    shown = _p2pgan("status", "--json", dsn=dsn)
    assert shown.returncode == 0, shown.stderr
    status = json.loads(shown.stdout)
    assert set(status) == set(STATUS_KEYS.split())
    assert set(status["units"]) == {"open", "leased", "done"}
    assert (status["run"], status["committed_version"], status["leader"]) == ("faces", 0, None)


def test_status_for_people_names_the_run(dsn: str) -> None:
    shown = _p2pgan("status", dsn=dsn)
    assert shown.returncode == 0, shown.stderr
    assert "run faces, version 0" in shown.stdout


def test_the_same_seed_and_version_draw_the_same_bytes(dsn: str, tmp_path: Path) -> None:
    grids = []
    for name, seed in (("a.png", "3"), ("b.png", "3"), ("c.png", "4")):
        drawn = _p2pgan("generate", "-n", "4", "--seed", seed, "--out", str(tmp_path / name), dsn=dsn)
        assert drawn.returncode == 0, drawn.stderr
        grids.append((tmp_path / name).read_bytes())
    assert grids[0] == grids[1] != grids[2]


def test_an_exported_file_draws_what_the_run_draws(dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "faces.safetensors"
    exported = _p2pgan("export", "--out", str(file), dsn=dsn)
    assert exported.returncode == 0, exported.stderr
    from_file = load_generator(file).sample(5, seed=2)
    assert from_file.shape == (5, 3, 32, 32)
    assert from_file.dtype == torch.uint8
    assert torch.equal(from_file, load_generator(dsn).sample(5, seed=2))


def test_a_folder_gets_single_images(dsn: str, tmp_path: Path) -> None:
    drawn = _p2pgan("generate", "-n", "3", "--out", str(tmp_path / "faces"), dsn=dsn)
    assert drawn.returncode == 0, drawn.stderr
    assert re.fullmatch(
        rf"{tmp_path}/faces: version \d+ of \S+, [\d,]+ images(: nothing .*)?\n", drawn.stdout
    )
    assert len(list((tmp_path / "faces").glob("*.png"))) == 3


def test_the_history_of_a_run_has_a_frame_for_each_stored_version(dsn: str, tmp_path: Path) -> None:
    out = tmp_path / "history.gif"
    drawn = _p2pgan("generate", "--as", "history", "-n", "4", "--out", str(out), dsn=dsn)
    assert (drawn.returncode, drawn.stdout) == (0, f"{out}: versions 0\n"), drawn.stderr
    with Image.open(out) as history:
        assert (history.n_frames, history.size) == (1, (66, 66))


def test_a_run_is_published_with_its_facts_and_without_its_secrets(dsn: str, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    done = _p2pgan("publish", "--repo", "ann/faces", "--dry-run", "--out", str(folder), dsn=dsn)
    assert done.returncode == 0, done.stderr
    card = (folder / "README.md").read_text()
    for row in ("run | faces", "version | 0", "peers that contributed | 0", "data set | digits"):
        assert f"| {row} |" in card
    published = load_generator(folder / "generator.safetensors")
    assert torch.equal(published.sample(3), load_generator(dsn).sample(3))
    password = dsn.split(":")[2].split("@")[0]
    assert not any(password.encode() in file.read_bytes() for file in folder.iterdir())


def test_what_is_not_there_is_one_clear_line(dsn: str, tmp_path: Path) -> None:
    out = str(tmp_path / "x.png")
    password = dsn.split(":")[2].split("@")[0]
    for arguments, place, message in (
        (("generate", "--run", "dogs", "--out", out), dsn, "no run named dogs"),
        (("generate", "--version", "7", "--out", out), dsn, "version 7"),
        (("status",), dsn.replace(password, "guess"), "password"),
        (("status",), dsn.replace("/postgres", "/cats"), "cats"),
        (("export", "--out", str(tmp_path / "x")), "nonsense", "not a valid DSN"),
    ):
        refused = _p2pgan(*arguments, dsn=place)
        assert refused.returncode == 2, refused.stderr
        assert message in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert password not in refused.stderr


def test_among_several_runs_one_must_be_named(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        _create_run(postgres.dsn, "faces")
        _create_run(postgres.dsn, "digits")
        refused = _p2pgan("status", dsn=postgres.dsn)
        assert refused.returncode == 2
        assert "choose one with --run: faces, digits" in refused.stderr
        assert _p2pgan("status", "--run", "digits", dsn=postgres.dsn).returncode == 0


def test_a_stored_version_is_scored(dsn: str) -> None:
    done = _p2pgan("score", "--dataset", "digits", "-n", "40", "--metric", "kid,pr", "--json", dsn=dsn)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["source"] == "version 0 of faces, 0 images: nothing has been learned yet"
    assert list(told["scores"]) == ["kid", "precision", "recall"]
