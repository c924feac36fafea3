"""What every rule promises, and what each does with a hostile minority."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from p2pgan.averaging.means import clipped_mean, norm, weighted_mean
from p2pgan.averaging.reduce import aggregate
from p2pgan.averaging.rules import RULES, rule
from p2pgan.errors import ConfigError
from p2pgan.peer.config import SyncConfig

LENGTH = 12
WHOLE = [slice(0, LENGTH)]
ROBUST = [name for name in RULES if name != "mean"]
BETWEEN_HONEST = ["trimmed-mean", "median"]
REFERENCE = json.loads((Path(__file__).parent / "flwr_1_42.json").read_text(encoding="utf-8"))
"""Vectors, and what the rules of flwr 1.42.0 (flwr.server.strategy.aggregate) make of them: its median,
its mean trimmed by (n - 1) // 3 at each end, its Multi-Krum with (n - 3) // 2 malicious, n - f - 2 kept."""

honest_values = st.floats(-10, 10, width=32)
hostile_values = st.floats(-(2.0**99), 2.0**99, width=32)


def combine(name: str, vectors: list[torch.Tensor], weights: list[int] | None = None) -> torch.Tensor:
    peers = [f"p{index}" for index in range(len(vectors))]
    images = weights or [1] * len(vectors)
    parts = [slice(0, len(vectors[0]))]
    return aggregate(
        rule(name), dict(zip(peers, vectors, strict=True)), dict(zip(peers, images, strict=True)), parts
    )


@st.composite
def mixed_groups(draw: st.DrawFn, name: str) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Honest vectors, and as many hostile ones as the rule says it stands up to."""
    count = draw(st.integers(3, 10))
    hostile = rule(name).tolerated(count)
    honest = draw(arrays(np.float32, (count - hostile, LENGTH), elements=honest_values))
    others = draw(arrays(np.float32, (hostile, LENGTH), elements=hostile_values))
    return list(torch.from_numpy(honest)), list(torch.from_numpy(others))


def test_the_configuration_offers_what_there_is() -> None:
    assert set(get_args(SyncConfig.model_fields["aggregation"].annotation)) == set(RULES)


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown aggregation 'krum'"):
        rule("krum")


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_equal_contributions_come_out(name: str, count: int) -> None:
    vector = torch.randn(LENGTH, generator=torch.Generator().manual_seed(count))

    torch.testing.assert_close(combine(name, [vector] * count), vector)


@pytest.mark.parametrize("name", RULES)
def test_a_single_contribution_keeps_its_bits(name: str) -> None:
    vector = torch.randn(LENGTH, generator=torch.Generator().manual_seed(1)) * 1e6

    assert torch.equal(combine(name, [vector], [37]), vector)


@pytest.mark.parametrize("name", RULES)
def test_two_contributions_are_averaged_by_images(name: str) -> None:
    vectors = [torch.full((LENGTH,), 1.0), torch.full((LENGTH,), 5.0)]

    assert combine(name, vectors, [3, 1]).tolist() == [2.0] * LENGTH


@pytest.mark.parametrize("name", RULES)
def test_the_order_of_arrival_does_not_matter(name: str) -> None:
    source = torch.Generator().manual_seed(5)
    slices = {peer: torch.randn(LENGTH, generator=source) for peer in "abcde"}
    weights = {"a": 64, "b": 100, "c": 3, "d": 512, "e": 64}
    outcomes = [
        aggregate(rule(name), {p: slices[p] for p in order}, weights, WHOLE)
        for order in itertools.islice(itertools.permutations(slices), 0, 120, 7)
    ]
    assert all(torch.equal(outcome, outcomes[0]) for outcome in outcomes)


@pytest.mark.parametrize("name", RULES)
def test_contributions_are_left_as_they_are(name: str) -> None:
    vectors = [torch.full((LENGTH,), float(value)) for value in (1, 2, 3, 4, 100)]

    combine(name, vectors)

    assert [vector[0].item() for vector in vectors] == [1, 2, 3, 4, 100]


@pytest.mark.parametrize("name", RULES)
def test_the_parts_of_a_vector_do_not_mix(name: str) -> None:
    source = torch.Generator().manual_seed(6)
    peers = {f"p{index}": torch.randn(LENGTH, generator=source) for index in range(5)}
    weights = dict.fromkeys(peers, 1)
    loud = {p: torch.cat([v[:4], v[4:] * 1e4]) if p == "p0" else v for p, v in peers.items()}
    parts = [slice(0, 4), slice(4, LENGTH)]

    before, after = (aggregate(rule(name), slices, weights, parts) for slices in (peers, loud))

    assert torch.equal(before[:4], after[:4])


@pytest.mark.parametrize("name", ROBUST)
@settings(max_examples=60)
@given(data=st.data())
def test_a_hostile_minority_does_not_carry_the_outcome_away(name: str, data: st.DataObject) -> None:
    honest, hostile = data.draw(mixed_groups(name))
    furthest = max(norm(vector) for vector in honest)
    center = torch.stack(honest).mean(0)
    spread = max(norm(vector - center) for vector in honest)

    # Wherever the hostile ones come in the order of peers.
    outcome = combine(name, data.draw(st.permutations(honest + hostile)))

    assert torch.isfinite(outcome).all()
    bound = {
        "clip": furthest,
        # Coordinates between honest ones.
        "trimmed-mean": furthest * LENGTH**0.5,
        "median": furthest * LENGTH**0.5,
        # Whoever is kept has enough honest neighbours nearby: Blanchard et al., lemma 1.
        "multi-krum": norm(center) + (2 * len(honest)) ** 0.5 * 4 * spread,
        # From the median at most the radius at each step, which is at most an honest distance.
        "centered-clip": (furthest * LENGTH**0.5) * 8 + 8 * furthest,
    }[name]
    assert norm(outcome) <= bound * 1.001 + 1e-3


@pytest.mark.parametrize("name", BETWEEN_HONEST)
@settings(max_examples=60)
@given(data=st.data())
def test_each_coordinate_lies_between_honest_ones(name: str, data: st.DataObject) -> None:
    honest, hostile = data.draw(mixed_groups(name))
    values = torch.stack(honest)

    outcome = combine(name, honest + hostile)

    assert (outcome >= values.min(0).values - 1e-4).all()
    assert (outcome <= values.max(0).values + 1e-4).all()


def test_multi_krum_keeps_none_of_the_hostile() -> None:
    source = torch.Generator().manual_seed(8)
    honest = [torch.randn(LENGTH, generator=source) for _ in range(6)]
    hostile = [torch.full((LENGTH,), 50.0), torch.full((LENGTH,), 51.0)]

    outcome = combine("multi-krum", [*hostile, *honest])

    assert norm(outcome) < max(norm(vector) for vector in honest)


def test_clipping_leaves_peers_of_the_same_pace_alone() -> None:
    """Who was given more work may move further."""
    direction = torch.randn(LENGTH, generator=torch.Generator().manual_seed(9))
    vectors, weights = [direction * 64, direction * 512, direction * 128], [64, 512, 128]

    torch.testing.assert_close(clipped_mean(vectors, weights), weighted_mean(vectors, weights))


def test_clipping_shortens_to_the_median_and_keeps_the_direction() -> None:
    vectors = [torch.tensor([3.0, 4.0]), torch.tensor([5.0, 0.0]), torch.tensor([0.0, -5e6])]

    outcome = clipped_mean(vectors, [1, 1, 1])

    torch.testing.assert_close(outcome, torch.tensor([8.0, -1.0]) / 3)


@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: f"n={len(case['vectors'])}")
@pytest.mark.parametrize("name", ["median", "trimmed-mean", "multi-krum"])
def test_an_independent_implementation_agrees(name: str, case: dict[str, list[list[float]]]) -> None:
    vectors = [torch.tensor(row, dtype=torch.float32) for row in case["vectors"]]

    torch.testing.assert_close(combine(name, vectors), torch.tensor(case[name]), rtol=1e-4, atol=1e-5)


@settings(max_examples=60)
@given(
    values=arrays(np.float32, (7, LENGTH), elements=honest_values),
    weights=st.lists(st.integers(1, 50), min_size=7, max_size=7),
)
def test_the_formulas_of_the_papers_agree(values: np.ndarray, weights: list[int]) -> None:
    """Written down once more, plainly, in numpy and float64."""
    vectors = list(torch.from_numpy(values))
    x, w = values.astype(np.float64), np.array(weights, dtype=np.float64)

    lengths = np.linalg.norm(x, axis=1)
    pace = np.median(lengths / w)
    clipped = [v * min(1, pace * k / n) if n else v for v, k, n in zip(x, w, lengths, strict=True)]
    expected = np.average(clipped, axis=0, weights=w)
    np.testing.assert_allclose(combine("clip", vectors, weights), expected, atol=1e-4)

    center = np.median(x, axis=0)
    radius = np.median(np.linalg.norm(x - center, axis=1))
    for _ in range(3):
        ways = [v - center for v in x]
        ways = [u * min(1, radius / np.linalg.norm(u)) if np.linalg.norm(u) else u for u in ways]
        center = center + np.average(ways, axis=0, weights=w)
    np.testing.assert_allclose(combine("centered-clip", vectors, weights), center, atol=1e-3)

    kept = []
    for column in x.T:
        order = np.argsort(column, kind="stable")[2:5]
        kept.append(np.average(column[order], weights=w[order]))
    np.testing.assert_allclose(combine("trimmed-mean", vectors, weights), kept, atol=1e-4)
