from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.peer.config import check_requested, merge, read_yaml, run_config, stored_config


def test_values_of_all_levels_reach_the_configuration() -> None:
    config = run_config({"gan": {"model": {"width": 64}}, "sync": {"codec": "fp32"}, "goal": {"epochs": 3}})
    assert config.gan.model.width == 64
    assert config.sync.codec == "fp32"
    assert config.goal.epochs == 3


def test_a_stored_configuration_is_the_one_that_was_created() -> None:
    config = run_config({"gan": {"model": {"name": "mlp"}}, "unit_images": 128})
    assert stored_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ({"gan": {"model": {"widht": 64}}}, "no setting 'gan.model.widht'; did you mean 'gan.model.width'?"),
        ({"unit_images": "many"}, "unit_images = 'many' is not valid"),
        ({"unit_images": 0}, "unit_images = 0 is not valid"),
        ({"leadership": {"ttl_s": 2.0}}, "at most half of ttl_s"),
        ({"sync": {"codec": "fp8"}}, "sync.codec = 'fp8' is not valid"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(requested: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        run_config(requested)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_run_that_exists_keeps_its_configuration() -> None:
    stored = run_config({"unit_images": 256, "gan": {"seed": 7}})
    check_requested(stored, {"unit_images": 256})
    check_requested(stored, {"dataset": "zip:/elsewhere/the-same-images.zip"})
    with pytest.raises(ConfigError, match=r"created with gan\.seed = 7, not 8"):
        check_requested(stored, {"gan": {"seed": 8}})


def test_a_stored_configuration_of_another_release_is_refused() -> None:
    with pytest.raises(ConfigError, match="another release") as refused:
        stored_config({"novelty": 1})
    assert refused.value.told.endswith("(troubleshooting.md#release)")


def test_merge_goes_mapping_by_mapping() -> None:
    base = {"a": {"x": 1, "y": 2}, "b": 3}
    assert merge(base, {"a": {"y": 5}, "c": 6}) == {"a": {"x": 1, "y": 5}, "b": 3, "c": 6}
    assert base == {"a": {"x": 1, "y": 2}, "b": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML"), ("- 1\n- 2\n", "must be a mapping"), ("1: 2\n", "must be a mapping")],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as refused:
        read_yaml(path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused_and_an_empty_one_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").touch()
    assert read_yaml(tmp_path / "empty.yaml") == {}
