from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.cli.overrides import requested
from p2pgan.errors import ConfigError
from p2pgan.peer.config import run_config


def test_flags_go_over_settings_and_settings_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("dataset: mnist\ngan: {seed: 1, microbatch: 32, model: {width: 16}}\n")
    said = requested(config, ["gan.seed=2", "gan.model.width=24"], {"gan.seed": 3, "dataset": None})
    assert said == {"dataset": "mnist", "gan": {"seed": 3, "microbatch": 32, "model": {"width": 24}}}


def test_nothing_said_is_nothing_requested() -> None:
    assert requested(None, None, {"gan.seed": None}) == {}


def test_settings_are_read_as_yaml() -> None:
    said = requested(None, ["a=1", "b=0.5", "c=text", "d=null", "e=a=b"], {})
    assert said == {"a": 1, "b": 0.5, "c": "text", "d": None, "e": "a=b"}


@pytest.mark.parametrize(
    "setting",
    [
        "width",
        "=3",
        "a=[1",
        "." * 3000 + "=1",
        "a." * 3000 + "a=1",
        "a=" + "[" * 3000,
        "a=" + "[" * 3000 + "]" * 3000,
        "a=" + "- " * 3000 + "1",
        "a=&x [*x]",
        "unit_images=2001-13-45",
        "unit_images=!!int x",
        "unit_images=!!int ''",
        "unit_images=!!float x",
        "unit_images=!!bool x",
        "gan=!!timestamp x",
        "gan={[1]: 2}",
        "unit_images=" + "9" * 5000,
        "a=" + "b" * 100_001,
    ],
)
def test_a_setting_that_cannot_be_read_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        requested(None, [setting], {})


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("unit_images=0x" + "f" * 5000, "unit_images = a number of thousands of digits is not valid"),
        ("commit_seconds=0x" + "f" * 5000, "commit_seconds = a number of thousands of digits is not valid"),
        ("gan.seed=" + "9" * 4000, "gan.seed = 9999"),
        ("gan.model.width=0x" + "f" * 5000, "gan.model.width = "),
        ("unit_images=" + "a" * 5000, "unit_images = 'aaaa"),
        ("gan.model={1: 2}", "gan.model"),
        ("gan.model={[1, 2]: 2}", "--set gan.model"),
        ("b" * 5000 + "=1", "there is no setting"),
        ("unit_images=[[[[[[[[[1]]]]]]]]]", "unit_images = [[[[["),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_a_short_line(setting: str, line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        run_config(requested(None, [setting], {}))
    assert line in str(refused.value)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("gan=5", "gan = 5 is not valid: it is a group of settings, gan.model, gan.loss"),
        ("gan.model=5", "gan.model = 5 is not valid"),
        ("gan={model: null}", "gan.model = None is not valid"),
        ("gan=" + "a" * 5000, "gan = 'aaa"),
    ],
)
def test_a_value_in_the_place_of_a_group_is_not_replaced_by_a_flag(
    tmp_path: Path, setting: str, line: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        requested(None, [setting], {"gan.model.name": "mlp"})
    assert line in str(refused.value)
    file = tmp_path / "run.yaml"
    file.write_text("gan: 5\n")
    with pytest.raises(ConfigError, match="gan = 5 is not valid"):
        requested(file, None, {"gan.model.name": "mlp"})
