import pytest

from p2pgan.errors import ConfigError
from p2pgan.gan.config import GanConfig, parse_config


def test_defaults_come_back_from_json():
    assert parse_config(GanConfig().model_dump_json()) == GanConfig()


def test_width_follows_the_resolution_unless_it_is_given():
    assert parse_config({}).model.width == 16
    assert parse_config({"model": {"resolution": 64}}).model.width == 32
    assert parse_config({"model": {"resolution": 64, "width": 8}}).model.width == 8


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"model": {"name": "vae"}}, "model.name: .*'mlp' or 'dcgan'"),
        ({"model": {"name": "mlp", "resolution": 64}}, "model: .*32 px"),
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
