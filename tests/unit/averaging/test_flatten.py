import pytest
import torch
from torch import nn

from p2pgan.averaging.flatten import flatten, layout_of, unflatten_into
from p2pgan.errors import ConfigError, WeightsError


def networks(seed: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    discriminator = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 2))
    return generator, discriminator


def test_entries_follow_the_state_dict_generator_first():
    layout = layout_of(*networks(0))
    assert [(e.network, e.name) for e in layout.entries] == [
        ("G", "0.weight"),
        ("G", "0.bias"),
        ("G", "1.weight"),
        ("G", "1.bias"),
        ("D", "bias"),
        ("D", "parametrizations.weight.original"),
    ]
    assert layout.size == 12 + 4 + 4 + 4 + 2 + 8
    assert layout.slice_of("G") == slice(0, 24)
    assert layout.slice_of("D") == slice(24, 34)


@pytest.mark.parametrize(
    ("start", "stop", "parts"),
    [
        (0, 34, (slice(0, 24), slice(24, 34))),
        (20, 30, (slice(0, 4), slice(4, 10))),
        (3, 24, (slice(0, 21),)),
        (24, 30, (slice(0, 6),)),
    ],
    ids=["the whole", "across the border", "of G", "of D"],
)
def test_a_shard_is_cut_where_one_network_ends(start: int, stop: int, parts: tuple[slice, ...]):
    assert layout_of(*networks(0)).parts_of(start, stop) == parts


def test_buffers_are_not_in_the_vector():
    generator, discriminator = networks(0)
    layout = layout_of(generator, discriminator)
    before = flatten(layout, generator, discriminator)
    generator[1].running_mean.fill_(7.0)  # type: ignore[index,union-attr]  # a BatchNorm's buffer
    assert torch.equal(flatten(layout, generator, discriminator), before)


def test_what_is_flattened_comes_back():
    first, second = networks(1), networks(2)
    layout = layout_of(*first)
    vector = flatten(layout, *first)
    assert not torch.equal(flatten(layout, *second), vector)
    unflatten_into(layout, vector, *second)
    assert torch.equal(flatten(layout, *second), vector)


def test_flatten_gives_a_copy():
    pair = networks(1)
    layout = layout_of(*pair)
    vector = flatten(layout, *pair)
    vector.zero_()
    assert flatten(layout, *pair).abs().sum() > 0


def test_schema_hash_tells_networks_apart():
    one = layout_of(nn.Linear(2, 3), nn.Linear(3, 1))
    assert one.schema_hash == layout_of(nn.Linear(2, 3), nn.Linear(3, 1)).schema_hash
    assert one.schema_hash != layout_of(nn.Linear(3, 2), nn.Linear(3, 1)).schema_hash
    assert one.schema_hash != layout_of(nn.Linear(3, 1), nn.Linear(2, 3)).schema_hash
    assert len(one.schema_hash) == 64


@pytest.mark.parametrize("vector", [torch.zeros(3), torch.zeros(11, dtype=torch.float64), torch.zeros(11, 1)])
def test_a_vector_of_another_layout_is_refused(vector: torch.Tensor):
    pair = nn.Linear(2, 3), nn.Linear(1, 1)
    with pytest.raises(WeightsError, match="need float32"):
        unflatten_into(layout_of(*pair), vector, *pair)


def test_other_element_types_are_refused():
    with pytest.raises(ConfigError, match="G.weight"):
        layout_of(nn.Linear(2, 2).half(), nn.Linear(2, 1))
