import pytest

from p2pgan.errors import ConfigError
from p2pgan.gan.config import GanConfig, file_of_own_net, parse_config
from p2pgan.gan.presets import PRESETS, preset_values


def test_defaults_come_back_from_json():
    assert parse_config(GanConfig().model_dump_json()) == GanConfig()


def test_width_follows_the_resolution_unless_it_is_given():
    assert parse_config({}).model.width == 16
    assert parse_config({"model": {"resolution": 64}}).model.width == 32
    assert parse_config({"model": {"resolution": 64, "width": 8}}).model.width == 8


def test_width_follows_the_net():
    for model, width in (
        ({"name": "resnet"}, 32),
        ({"name": "r3"}, 32),
        ({"name": "r3", "size": "small"}, 64),
        ({"name": "r3", "size": "small", "width": 16}, 16),
        ({"resolution": 128}, 16),
    ):
        assert parse_config({"model": model}).model.width == width


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_are_valid_and_can_be_overridden(name: str):
    values = preset_values(name)
    config = parse_config(values)
    assert (config == GanConfig()) == (name == "p2p"), "p2p is what there is without a preset"
    values["loss"]["name"] = "hinge"
    assert PRESETS[name]["loss"]["name"] != "hinge", "a copy"
    assert parse_config(values).loss.name == "hinge"


def test_an_unknown_preset():
    with pytest.raises(ConfigError, match="did you mean modern"):
        preset_values("modren")
    with pytest.raises(ConfigError, match="choose classic, p2p, modern"):
        preset_values("x")


def test_the_file_of_an_own_net_is_found_in_a_configuration():
    assert file_of_own_net({"gan": {"model": {"name": "a/net.py:Mine"}}}) == "a/net.py:Mine"
    for other in ({}, {"gan": 3}, {"gan": {"model": {"name": "dcgan"}}}, {"gan": {"model": {"width": 8}}}):
        assert file_of_own_net(other) is None


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"model": {"name": "vae"}}, "model.name: .*there is no net 'vae'; choose mlp, dcgan, resnet, r3 or"),
        (
            {"model": {"name": "mlp", "resolution": 64}},
            "model: .*mlp draws 32 px .*use dcgan or resnet or r3",
        ),
        ({"model": {"name": "net.py:Mine"}}, "model.name: .*there is no net 'net.py:Mine'"),
        ({"model": {"norm": "batch"}}, "configuration: .*mixes the images .*r1_gamma=0"),
        ({"augment": {"policy": ["color", "color"]}}, "augment: .*at most once"),
        ({"model": {"width": 12}}, "model.width: .*multiple of 8"),
        ({"optimizer": {"lr": 0.1}}, "optimizer.lr: Extra inputs"),
        ({"microbatch": 0}, "microbatch: .*greater"),
        ("no json", "configuration: Invalid JSON"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(values: dict[str, object] | str, line: str):
    with pytest.raises(ConfigError, match=line) as caught:
        parse_config(values)
    assert "\n" not in str(caught.value)
