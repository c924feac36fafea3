"""Nets of somebody's own: from a file of this machine, by what is in it, and never because of a name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from p2pgan.errors import ConfigError
from p2pgan.gan import own
from p2pgan.gan.config import GanConfig, ModelConfig, parse_config
from p2pgan.gan.data import ImageSet
from p2pgan.gan.models import build, layout_for
from p2pgan.gan.own import use_own_net
from p2pgan.gan.sampling import Generator
from p2pgan.gan.trainer import Trainer
from p2pgan.peer.config import check_requested, run_config, stored_config

NET = """
import torch
from torch import nn


class Draw(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.side = config.resolution
        self.layer = nn.Linear(config.latent_dim, 3 * self.side**2)

    def forward(self, latents):
        return torch.tanh(self.layer(latents)).view(-1, 3, self.side, self.side)


class Judge(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.Linear(3 * config.resolution**2, 1)

    def forward(self, images):
        return self.layer(images.flatten(1)).squeeze(1)


class Mine:
    @staticmethod
    def generator(config):
        return Draw(config)

    @staticmethod
    def discriminator(config):
        return Judge(config)
"""


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own.NETS, "_known", {})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_an_own_net_trains_and_draws(file: Path, images: ImageSet):
    name = use_own_net(f"{file}:Mine")
    config = parse_config({"model": {"name": name, "latent_dim": 8}, "microbatch": 8})
    trainer = Trainer(config, images)
    assert trainer.train_microbatch(0, 0, 8).finite
    assert Generator(config, trainer.theta()[trainer.layout.slice_of("G")]).sample(2).shape == (2, 3, 32, 32)
    assert parse_config(config.model_dump_json()) == config


def test_the_seed_decides_its_weights(file: Path):
    config = ModelConfig(name=use_own_net(f"{file}:Mine"))
    first, second = (build(config, seed=3)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_name_from_elsewhere_loads_nothing(file: Path):
    """A stored configuration, or one in a weights file, cannot make this machine run code."""
    name = use_own_net(f"{file}:Mine")
    own.NETS._known.clear()
    config = ModelConfig(name=name)
    with pytest.raises(
        ConfigError, match=r"Mine is somebody's own; give its file .* --model path/to/file.py:Mine"
    ):
        layout_for(config)
    for hostile in (f"{file}:Mine", f"{file}:Mine@{'0' * 64}", "os:system"):
        with pytest.raises(ConfigError, match="there is no net"):
            parse_config({"model": {"name": hostile}})
        with pytest.raises(ConfigError, match="there is no net"):
            stored_config({"gan": {"model": {"name": hostile}}})
    assert own.NETS._known == {}


def test_another_file_is_refused(file: Path):
    of_the_run = ModelConfig(name=use_own_net(f"{file}:Mine"))
    own.NETS._known.clear()
    file.write_text(NET + "\n# changed\n")
    use_own_net(f"{file}:Mine")
    with pytest.raises(ConfigError, match="is of a file with digest .* but the file given here has"):
        build(of_the_run, seed=1)


def test_a_run_keeps_class_and_digest(file: Path):
    requested = {"gan": {"model": {"name": f"{file}:Mine"}}}
    config = run_config(requested)
    name = config.gan.model.name
    assert name.startswith("Mine@")
    assert str(file) not in config.model_dump_json()
    check_requested(config, requested)
    file.write_text(NET + "\n# changed\n")
    with pytest.raises(ConfigError, match="the run was created with gan.model.name"):
        check_requested(config, requested)


@pytest.mark.parametrize(
    ("spec", "code", "line"),
    [
        ("net.py:Nobody", NET, "defines no class Nobody"),
        ("none.py:Mine", NET, "cannot be read"),
        ("net.py:", NET, "write path/to/file.py:CLASS"),
        ("net.txt:Mine", NET, "write path/to/file.py:CLASS"),
        ("net.py:Mine", "def (", "cannot be run: SyntaxError"),
        ("net.py:Mine", "raise ValueError('no')", "cannot be run: ValueError: no"),
        ("net.py:Mine", "class Mine: pass", r"lacks the static method generator\(config\)"),
        ("net.py:Mine", NET.replace("return Draw(config)", "return 3"), "returns no nn.Module"),
        ("net.py:Mine", NET.replace("return Draw(config)", "return Draw(3)"), "Mine.generator .* fails"),
        ("net.py:Mine", NET.replace("return Judge(config)", "return nn.Dropout()"), "layer Dropout"),
        (
            "net.py:Mine",
            NET.replace(
                "super().__init__()", "super().__init__()\n        self.register_buffer('b', torch.ones(2))"
            ),
            "keeps a buffer in Draw",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_line(tmp_path: Path, spec: str, code: str, line: str):
    (tmp_path / "net.py").write_text(code)
    (tmp_path / "net.txt").write_text(code)
    with pytest.raises(ConfigError, match=line) as caught:
        use_own_net(f"{tmp_path}/{spec}")
    assert "\n" not in str(caught.value)


def test_layers_that_nobody_can_fill(tmp_path: Path, config: GanConfig):
    layer = "nn.Bilinear(2, 2, 2)"
    (tmp_path / "net.py").write_text(NET.replace("return Draw(config)", f"return {layer}"))
    name = use_own_net(f"{tmp_path}/net.py:Mine")
    with pytest.raises(
        ConfigError, match=r"Bilinear has weights that nobody fills; give it a method initialise"
    ):
        build(ModelConfig(name=name), seed=1)
