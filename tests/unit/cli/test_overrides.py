from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.cli.overrides import requested
from p2pgan.errors import ConfigError


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


@pytest.mark.parametrize("setting", ["width", "=3", "a=[1"])
def test_a_setting_that_cannot_be_read_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        requested(None, [setting], {})
