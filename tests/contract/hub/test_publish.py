"""``p2pgan publish``, and what draws from a repository of the hub, against a stand-in for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import p2pgan
from tests.contract.hub.hub import Hub, running_hub

pytest.importorskip("huggingface_hub", reason="the extra p2pgan[hub] is not installed")

TOKEN = "hf_secretsecretsecretsecretsecret"
FILES = {"README.md", "config.json", "generator.safetensors", "samples.png"}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = p2pgan.GanConfig.model_validate({"model": {"width": 8, "latent_dim": 8}, "microbatch": 16})
    out = tmp_path_factory.mktemp("trained")
    return p2pgan.train(config, out=out, images_goal=32, quiet=True, threads=1).weights


def _run(hub: Hub, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Ends with a check that the token is nowhere in what was said."""
    home.mkdir(exist_ok=True)
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(home / "hf"), "HF_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    own |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **own},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert TOKEN not in done.stdout + done.stderr
    return done


def _p2pgan(hub: Hub, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _run(hub, home, "-m", "p2pgan", *arguments)


def _publish(hub: Hub, home: Path, weights: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return _p2pgan(hub, home, "publish", "--repo", "ann/faces", "--weights", str(weights), *more)


def test_what_is_published_draws_the_same_images(hub: Hub, weights: Path, tmp_path: Path) -> None:
    done = _publish(hub, tmp_path, weights, "--private", "--license", "mit")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{hub.address}/ann/faces: generator.safetensors, config.json, README.md")
    assert set(hub.files["ann/faces"]) == FILES
    assert hub.private == {"ann/faces": True}
    assert f"Bearer {TOKEN}" in hub.tokens

    for place, name in (("hf:ann/faces", "hub.png"), (str(weights), "file.png")):
        drawn = _p2pgan(hub, tmp_path, "generate", "--weights", place, "-n", "4", "--out", name)
        assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "hub.png").read_bytes() == (tmp_path / "file.png").read_bytes()

    code = "import p2pgan; print(p2pgan.load_generator('hf:ann/faces').sample(2).sum().item())"
    printed = _run(hub, tmp_path, "-c", code).stdout
    assert printed.split()[-1] == str(p2pgan.load_generator(weights).sample(2).sum().item())


def test_a_second_time_replaces_the_first(hub: Hub, weights: Path, tmp_path: Path) -> None:
    for text in ("one licence", "another"):
        assert _publish(hub, tmp_path, weights, "--data-license", text).returncode == 0
    assert b"| licence of the data | another |" in hub.files["ann/faces"]["README.md"]


def test_a_dry_run_writes_what_would_be_uploaded(hub: Hub, weights: Path, tmp_path: Path) -> None:
    dry = _publish(hub, tmp_path, weights, "--dry-run")
    assert (dry.returncode, hub.files) == (0, {}), dry.stderr
    assert dry.stdout.endswith("nothing was uploaded\n")
    assert _publish(hub, tmp_path, weights).returncode == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "faces").iterdir()}
    assert written.keys() == hub.files["ann/faces"].keys() == FILES
    for name in FILES - {"generator.safetensors"}:  # whose metadata safetensors puts in no certain order
        assert written[name] == hub.files["ann/faces"][name]
    again = _publish(hub, tmp_path, weights, "--dry-run")
    assert (again.returncode, again.stderr) == (2, "p2pgan: faces is not empty; choose another --out\n")


def test_the_card_tells_the_scores_of_these_weights_and_no_others(
    hub: Hub, weights: Path, tmp_path: Path
) -> None:
    score = [
        "score",
        "--weights",
        str(weights),
        "--dataset",
        "digits",
        "-n",
        "40",
        "--metric",
        "kid",
        "--json",
    ]
    scored = _p2pgan(hub, tmp_path, *score)
    (tmp_path / "scores.json").write_text(scored.stdout)
    evil = "[me](javascript:x) <b>|\n---\nlicense: gpl"
    more = ["--dry-run", "--scores", "scores.json", "--data", evil, "--license", "cc-by-4.0"]
    done = _publish(hub, tmp_path, weights, *more)
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "faces" / "README.md").read_text()
    head, text = card.split("---\n")[1:]
    assert yaml.safe_load(head)["license"] == "cc-by-4.0"
    kid = json.loads(scored.stdout)["scores"]["kid"]
    assert f"| kid | {kid['value']:.5g} | {kid['floor']:.5g} |" in text
    assert "| images trained on | 512 |" in text
    assert r"\[me\]\(javascript\:x\) \<b\>\|" in text

    (tmp_path / "scores.json").write_text(scored.stdout.replace(str(weights), "others.safetensors"))
    refused = _publish(hub, tmp_path, weights, *more, "--out", "other")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "has scores of others.safetensors, not of" in refused.stderr


@pytest.mark.parametrize(
    ("status", "line"), [(401, "HTTP 401"), (403, "rights of your token"), (500, "later")]
)
def test_a_hub_that_refuses_is_one_line(
    status: int, line: str, hub: Hub, weights: Path, tmp_path: Path
) -> None:
    hub.refuses = status
    for more in ((), ("--debug",)):
        refused = _publish(hub, tmp_path, weights, *more)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert line in refused.stderr.splitlines()[-1]
    assert _publish(hub, tmp_path, weights).stderr.count("\n") == 1


def test_a_large_file_that_is_not_taken_is_one_line(hub: Hub, weights: Path, tmp_path: Path) -> None:
    hub.breaks_blobs = True
    refused = _publish(hub, tmp_path, weights)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "check the network and HF_ENDPOINT" in refused.stderr.splitlines()[-1]
    assert hub.files["ann/faces"] == {}


def _draw(hub: Hub, home: Path, place: str = "hf:ann/faces") -> str:
    """The line with which a drawing is refused."""
    drawn = _p2pgan(hub, home, "generate", "--weights", place, "--out", "x.png")
    assert (drawn.returncode, drawn.stdout, drawn.stderr.count("\n")) == (2, "", 1), drawn.stderr
    return drawn.stderr


def test_what_a_hub_holds_is_checked_like_any_file(hub: Hub, weights: Path, tmp_path: Path) -> None:
    assert "the hub has no ann/faces that you may read" in _draw(hub, tmp_path)
    hub.files["ann/faces"] = {}
    assert "ann/faces has no generator.safetensors there" in _draw(hub, tmp_path)
    hub.files["ann/faces"] = {"generator.safetensors": b"\x80\x04pickle"}
    assert "is no safetensors file" in _draw(hub, tmp_path / "a")
    hub.files["ann/faces"] = {"generator.safetensors": weights.read_bytes()[:-8]}
    assert "is corrupt" in _draw(hub, tmp_path / "b")
    hub.declared_size = 5 << 30
    assert "is larger than any generator; it is refused" in _draw(hub, tmp_path / "c")


@pytest.mark.parametrize(
    "place", ["hf:", "hf:faces", "hf:a/b/c", "hf:../etc/passwd", "hf:a/b@../x", "hf:a/..", "hf:a/b@"]
)
def test_what_is_no_repository_is_not_asked_for(place: str, tmp_path: Path) -> None:
    with pytest.raises(p2pgan.errors.ConfigError, match="is no re"):
        p2pgan.load_generator(place)


def test_no_hub_there(weights: Path, tmp_path: Path) -> None:
    nowhere = Hub(address="http://127.0.0.1:9")
    refused = _publish(nowhere, tmp_path, weights)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    drawn = _p2pgan(nowhere, tmp_path, "generate", "--weights", "hf:ann/faces", "--out", "x.png")
    assert (drawn.returncode, drawn.stderr.count("\n")) == (1, 1)
    assert not (tmp_path / "x.png").exists()
