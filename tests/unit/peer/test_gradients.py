"""``sync: gradients``: peers that average in every step are one process on the joint batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from p2pgan.averaging.adam import GRADIENT_SCALE
from p2pgan.averaging.rules import rule
from p2pgan.errors import ConfigError
from p2pgan.gan.data import ImageSet
from p2pgan.gan.models import build
from p2pgan.gan.randomness import epoch_permutation, microbatch_latents
from p2pgan.gan.trainer import StepStats, Trainer
from p2pgan.peer.config import run_config
from p2pgan.peer.learning import Gradients, Part
from p2pgan.peer.outer import outer_of
from p2pgan.peer.training import microbatches
from p2pgan.peer.vectors import Snapshot, Vectors, first_snapshot
from p2pgan.protocol.effects import Apply, BuildCandidate, Kept, Reduce, SendSlice
from p2pgan.protocol.ids import Contribution, Span, VersionRecord, images_in
from p2pgan.protocol.messages import Shard
from tests.unit.gan.conftest import one_thread
from tests.unit.gan.test_trainer_options import run_out_of_memory_above

__all__ = ["one_thread"]

GAMMA = 0.1
LAZY = 5
"""R1 is due in so many steps once. A millionth of a change to the weights puts the reference 5e-3 apart from
itself after 20 steps, once an activation changes its side; with 5 rounding brings none to do so."""
CONFIG = run_config(
    {
        "gan": {
            "model": {"name": "dcgan", "width": 8, "latent_dim": 8, "norm": "none"},
            "loss": {"r1_gamma": GAMMA, "r1_every": LAZY},
            "optimizer": {"lr_g": 1e-3, "lr_d": 5e-4, "beta1": 0.5, "beta2": 0.99},
            "microbatch": 8,
            "accumulate": 2,
        },
        "sync": {"mode": "gradients", "aggregation": "mean"},
    }
)
IMAGES = ImageSet(np.random.default_rng(1).integers(0, 256, (600, 3, 32, 32), dtype=np.uint8))
SHARES = {"a": 16, "b": 32, "c": 12}
"""Images of each peer in a step: one of whole steps, one of two, one whose last is smaller."""
STEPS = 20


def spans_of(step: int) -> dict[str, tuple[Span, ...]]:
    """Disjoint slices of an epoch; c's is cut in two."""
    start, found = step * sum(SHARES.values()) % 540, {}
    for peer, count in SHARES.items():
        whole = Span(0, 0, start, start + count)
        cut = start + 4
        found[peer] = (whole,) if peer != "c" else (Span(0, 0, start, cut), Span(0, 0, cut, start + count))
        start += count
    return found


class GradientPeer:
    """What a peer has of the run: its trainer and its canonical state."""

    def __init__(self, name: str) -> None:
        self.name, self.trainer = name, Trainer(CONFIG.gan, IMAGES)
        self.learning = Gradients(self.trainer)
        layout = self.trainer.layout
        self.vectors = Vectors(layout, outer_of(CONFIG, layout), 1000.0, rule("mean"))
        self.vectors.install(first_snapshot(layout, self.trainer.theta(), self.vectors.outer.memory))
        self.parts: list[tuple[slice, torch.Tensor]] = []
        """What was final before a contribution was done, as it was then."""

    def early(self, part: Part) -> None:
        place = slice(part.start, part.stop)
        self.parts.append((place, part.vector[place].clone()))

    def contribution(self, spans: tuple[Span, ...]) -> torch.Tensor:
        base = self.vectors.base()
        self.learning.start(base.theta, base.version)
        for span in spans:
            for start, stop in microbatches(span, CONFIG.gan.step_images):
                self.learning.step(span.epoch, start, stop, images_in(spans), self.early)
        return self.learning.finish()


def one_round(peers: list[GradientPeer], spans: dict[str, tuple[Span, ...]], wire: str = "fp32") -> set[str]:
    """All contribute, the first one reduces; the digests they come to."""
    base, size = peers[0].vectors.base(), peers[0].trainer.layout.size
    number, shard = base.version + 1, Shard("a", 0, size)
    owner = peers[0].vectors
    for peer in peers:
        peer.vectors.contribution = peer.contribution(spans[peer.name])
        payload = peer.vectors.own_slice(SendSlice(1, number, 1, 0, shard, wire))
        owner.store_slice((1, number, 1, 0, peer.name), payload)
    weights = tuple((p.name, images_in(spans[p.name])) for p in peers)
    owner.reduce(Reduce(1, number, 1, 1, 0, shard, wire, weights))
    result = owner.result((1, number, 1, 0, "a"))
    assert result is not None
    contributions = tuple(Contribution(p.name, spans[p.name]) for p in peers)
    images = base.images + sum(c.images for c in contributions)
    digests = set()
    for peer in peers:
        peer.vectors.store_result((1, number, 1, 0, "a"), result)
        digest = peer.vectors.build(BuildCandidate(1, number, 1, (shard,), wire))
        record = VersionRecord(number, digest, base.digest, 1, 1, "a", images, contributions)
        peer.vectors.apply(Apply(record, 1, 1, Kept.NOTHING))
        peer.vectors.forget(number + 1)
        digests.add(digest)
    return digests


def reference(steps: int) -> torch.Tensor:
    """One process in plain torch: each step's gradients of both losses over all peers' images at once."""
    generator, discriminator = build(CONFIG.gan.model, CONFIG.gan.seed)
    settings = CONFIG.gan.optimizer
    betas = settings.beta1, settings.beta2
    descend_g = torch.optim.Adam(generator.parameters(), settings.lr_g, betas)
    descend_d = torch.optim.Adam(discriminator.parameters(), settings.lr_d, betas)
    for step in range(steps):
        places = [
            place
            for spans in spans_of(step).values()
            for span in spans
            for place in microbatches(span, CONFIG.gan.step_images)
        ]
        order = epoch_permutation(CONFIG.gan.seed, 0, IMAGES.count)
        real = torch.cat([IMAGES.batch(order[a:b]) for a, b in places]).float() / 127.5 - 1
        seed, length = CONFIG.gan.seed, CONFIG.gan.model.latent_dim
        latents = torch.cat([microbatch_latents(seed, 0, a, b - a, length) for a, b in places])
        real.requires_grad_()
        fake = generator(latents)
        real_logits = discriminator(real)
        (slope,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
        due = LAZY if step % LAZY == 0 else 0
        penalty = slope.square().sum(dim=(1, 2, 3)).mean() * GAMMA / 2 * due
        loss_d = softplus(-real_logits).mean() + softplus(discriminator(fake.detach())).mean() + penalty
        loss_g = softplus(-discriminator(fake)).mean()
        grads_d = torch.autograd.grad(loss_d, list(discriminator.parameters()))
        grads_g = torch.autograd.grad(loss_g, list(generator.parameters()))
        for network, grads in ((generator, grads_g), (discriminator, grads_d)):
            for parameter, gradient in zip(network.parameters(), grads, strict=True):
                parameter.grad = gradient
        descend_g.step()
        descend_d.step()
    everything = (*generator.parameters(), *discriminator.parameters())
    return torch.cat([p.detach().reshape(-1) for p in everything])


def test_peers_equal_one_process_on_the_joint_batch_for_twenty_steps() -> None:
    peers = [GradientPeer(name) for name in SHARES]
    start = peers[0].vectors.base().theta
    for step in range(STEPS):
        assert len(one_round(peers, spans_of(step))) == 1

    expected = reference(STEPS)
    for network in ("G", "D"):
        part = peers[0].trainer.layout.slice_of(network)
        moved = (expected - start)[part].norm()
        apart = (peers[0].vectors.base().theta - expected)[part].norm()
        assert apart < 1e-3 * moved, f"{network}: {apart / moved:.1e} of the way apart"


@pytest.mark.parametrize("version", [0, 1, LAZY - 1, LAZY, 2 * LAZY])
def test_penalties_are_due_for_all_in_the_same_round(version: int) -> None:
    """Or the gradient of the one who has them is longer, and the default rule cuts it down to the others'."""
    peer = GradientPeer("a")
    size = CONFIG.gan.step_images
    peer.learning.start(peer.vectors.base().theta, version)

    steps = [peer.learning.step(0, i * size, (i + 1) * size, 8 * size, peer.early)[0] for i in range(8)]

    assert {step.r1 is not None for step in steps} == {version % LAZY == 0}


def test_a_joiner_with_the_snapshot_goes_on_as_the_others_do_under_fp16() -> None:
    ada, ben = GradientPeer("a"), GradientPeer("b")
    for step in range(3):
        one_round([ada, ben], spans_of(step), "fp16")
    late, snapshot = GradientPeer("c"), ada.vectors.base()
    late.vectors.install(Snapshot(**{f: getattr(snapshot, f) for f in Snapshot.__dataclass_fields__}))
    for step in range(3, 6):
        assert len(one_round([ada, ben, late], spans_of(step), "fp16")) == 1


def half_of_the_gradients(trainer: Trainer) -> tuple[torch.Tensor, StepStats]:
    share = torch.empty(trainer.layout.size)
    stats = trainer.gradients(0, 0, 16, 0.5, share, add=False, lazy=True, d_is_there=lambda part: None)
    return share, stats


@pytest.mark.parametrize("images", [8, 16, 40], ids=["one part of a step", "a step", "three steps"])
def test_ds_part_is_told_once_and_stays_as_it_was(images: int) -> None:
    """It may be on its way to others while the generator's gradients are computed."""
    peer = GradientPeer("a")

    contribution = peer.contribution((Span(0, 0, 0, 8), Span(0, 0, 8, 8 + images)))

    ((place, told),) = peer.parts
    assert place == peer.trainer.layout.slice_of("D")
    assert told.abs().max() > 0
    assert torch.equal(contribution[place], told)


def test_ds_part_of_a_step_that_was_not_finite_is_none_from_the_beginning() -> None:
    peer = GradientPeer("a")
    broken = peer.vectors.base().theta.clone()
    broken[peer.trainer.layout.slice_of("D")] = 1e30
    peer.learning.start(broken, 0)

    peer.learning.step(0, 0, 16, 16, peer.early)

    assert [told.abs().max().item() for _, told in peer.parts] == [0.0]


def test_gradients_leave_the_weights_and_are_a_mean_over_the_images() -> None:
    peer = GradientPeer("a")
    before = peer.trainer.theta()
    whole = peer.contribution((Span(0, 0, 0, 16),))
    share, stats = half_of_the_gradients(peer.trainer)

    assert torch.equal(peer.trainer.theta(), before)
    torch.testing.assert_close(whole, share * (2 * GRADIENT_SCALE))
    assert stats.finite
    assert stats.images == 16


def test_gradients_that_are_not_finite_count_as_none() -> None:
    peer = GradientPeer("a")
    broken = peer.trainer.theta()
    broken[peer.trainer.layout.slice_of("D")] = 1e30
    peer.trainer.load(broken)

    share, stats = half_of_the_gradients(peer.trainer)

    assert not stats.finite
    assert share[peer.trainer.layout.slice_of("D")].abs().max() == 0


def test_what_went_wrong_in_a_step_is_told_with_gradients_too() -> None:
    peer = GradientPeer("a")
    broken = peer.trainer.theta()
    broken[peer.trainer.layout.slice_of("D")] = 1e30
    peer.learning.start(broken, 0)

    told = [peer.learning.step(0, start, start + 16, 48, peer.early)[1] for start in (0, 16, 32)]

    assert told[:2] == [None, None]
    assert told[2] is not None and "such gradients count as none" in told[2]


def test_a_lack_of_memory_is_told_with_gradients_too() -> None:
    peer = GradientPeer("a")
    run_out_of_memory_above(peer.trainer, 4)
    peer.learning.start(peer.trainer.theta(), 0)

    _, told = peer.learning.step(0, 0, 16, 16, peer.early)

    assert told is not None and told.startswith("memory ran out: 4 images at once from now on")


def test_more_steps_of_d_are_refused_with_gradients() -> None:
    with pytest.raises(ConfigError, match=r"set gan\.loss\.d_steps=1"):
        run_config({"sync": {"mode": "gradients"}, "gan": {"loss": {"d_steps": 5}}})
    assert run_config({"sync": {"mode": "gossip"}, "gan": {"loss": {"d_steps": 5}}}).gan.loss.d_steps == 5


def test_an_outer_step_of_deltas_is_refused_with_gradients() -> None:
    with pytest.raises(ConfigError, match="alpha and momentum are not for gradients"):
        run_config({"sync": {"mode": "gradients", "momentum": 0.9}})
