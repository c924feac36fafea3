"""What D said of drawn images in its own pass is what G learns from, as long as D stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2pgan.gan.augment import DRAWS, Augment
from p2pgan.gan.config import AugmentConfig, parse_config
from p2pgan.gan.models import build
from p2pgan.gan.passes import Batch, Judgement, Passes
from p2pgan.gan.precision import Precision

IMAGES = 8
SOURCES: dict[str, dict[str, Any]] = {
    "cross entropy": {},
    "R1": {"loss": {"r1_gamma": 1.0}},
    "R1 and R2 of pairs": {
        "model": {"name": "r3"},
        "loss": {"name": "rp", "r1_gamma": 1.0, "r2_gamma": 1.0},
    },
    "spectral norm": {"model": {"name": "resnet"}, "loss": {"name": "hinge"}},
    "gradient penalty": {"loss": {"name": "wgan-gp"}},
    "batch normalisation": {"model": {"norm": "batch"}, "loss": {"r1_gamma": 0.0}},
    "classes": {"model": {"num_classes": 3}},
    "bfloat16": {"precision": "bf16", "loss": {"r1_gamma": 1.0, "r2_gamma": 1.0}},
}


class Networks:
    """A pair of networks, all their gradients, and how many images D has looked at."""

    def __init__(self, settings: dict[str, Any], augment: bool = False) -> None:
        config = parse_config(
            {**settings, "model": {"width": 8, "latent_dim": 8, **settings.get("model", {})}}
        )
        self.generator, self.discriminator = build(config.model, config.seed)
        self.looked_at = 0
        self.discriminator.register_forward_pre_hook(self._count)
        precision = Precision(config.precision, torch.device("cpu"))
        changes = Augment(AugmentConfig(policy=("translation",)) if augment else AugmentConfig())
        self.passes = Passes(self.generator, self.discriminator, config.loss, precision, changes)
        source = torch.Generator().manual_seed(1)
        classes, penalised = config.model.num_classes, config.loss.name == "wgan-gp"
        self.batch = Batch(
            device=torch.device("cpu"),
            real=torch.rand(IMAGES, 3, 32, 32, generator=source) * 2 - 1,
            latents=torch.randn(IMAGES, config.model.latent_dim, generator=source),
            labels=torch.arange(IMAGES) % classes if classes else None,
            draws=torch.rand(3, IMAGES, DRAWS, generator=source) if augment else None,
            shares=torch.rand(IMAGES, generator=source) if penalised else None,
        )

    def _count(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.looked_at += len(inputs[0])

    def differentiate(self, d_stays: bool, most: int = IMAGES) -> tuple[Judgement, float]:
        judged = self.passes.discriminator(self.batch, most, lazy=True, with_g=True, d_stays=d_stays)
        return judged, self.passes.generator(self.batch, most)

    def gradients(self) -> Tensor:
        parameters = [*self.generator.parameters(), *self.discriminator.parameters()]
        assert all(p.grad is not None for p in parameters)
        return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])


@pytest.mark.parametrize("settings", SOURCES.values(), ids=list(SOURCES))
def test_gradients_are_the_same_whether_d_looks_again_or_not(settings: dict[str, Any]):
    once, again = Networks(settings), Networks(settings)

    figures = once.differentiate(d_stays=True), again.differentiate(d_stays=False)

    assert figures[0][0] == figures[1][0]
    assert figures[0][1] == pytest.approx(figures[1][1], rel=1e-6)
    assert again.looked_at - once.looked_at >= IMAGES
    assert again.gradients().norm() > 0
    torch.testing.assert_close(once.gradients(), again.gradients(), rtol=1e-4, atol=1e-6)


def test_d_looks_at_drawn_images_once_where_it_stays_as_it_is():
    networks = Networks({"loss": {"r1_gamma": 0.0}})
    networks.differentiate(d_stays=True)
    assert networks.looked_at == 2 * IMAGES


def test_g_sees_images_that_are_changed_otherwise():
    networks = Networks({"loss": {"r1_gamma": 0.0}}, augment=True)
    networks.differentiate(d_stays=True)
    assert networks.looked_at == 3 * IMAGES


def test_parts_keep_nothing_for_each_other():
    """Their memory is what they are cut for."""
    whole, parts = Networks({"loss": {"r1_gamma": 0.0}}), Networks({"loss": {"r1_gamma": 0.0}})

    whole.differentiate(d_stays=True)
    parts.differentiate(d_stays=True, most=IMAGES // 2)

    assert parts.looked_at == 3 * IMAGES
    torch.testing.assert_close(parts.gradients(), whole.gradients(), rtol=1e-4, atol=1e-6)


def test_a_second_try_of_g_looks_anew():
    """As after a scale that was too high: the graph of the first is used up."""
    networks = Networks({"loss": {"r1_gamma": 0.0}})
    _, loss = networks.differentiate(d_stays=True)
    assert networks.passes.generator(networks.batch, IMAGES) == pytest.approx(loss, rel=1e-6)
    assert networks.looked_at == 3 * IMAGES


def test_a_net_of_ones_own_may_have_frozen_and_unused_parameters():
    networks = Networks({"loss": {"r1_gamma": 0.0}})
    frozen = next(networks.discriminator.parameters()).requires_grad_(False)
    unused = nn.Parameter(torch.ones(2))
    networks.generator.register_parameter("unused", unused)

    for d_stays in (True, False):
        networks.differentiate(d_stays)

    assert frozen.grad is None and not frozen.requires_grad
    assert unused.grad is None
    assert all(p.grad is not None for p in networks.discriminator.parameters() if p is not frozen)
