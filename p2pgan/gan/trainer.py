"""Trains the pair of networks, one step at a time.

A step is named by its place in an epoch and depends on nothing else but the weights and the optimizers:
the images, the noise, the changes to the images and whether R1 is applied follow from the configuration
and that place.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from p2pgan.averaging.flatten import Layout, Network, flatten, layout_of
from p2pgan.averaging.local_order import LocalOrder
from p2pgan.errors import ConfigError, InternalError, Trouble
from p2pgan.gan.augment import Augment, augment_draws
from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet
from p2pgan.gan.memory import give_memory_back, is_out_of_memory
from p2pgan.gan.models import NETS, build, run_network
from p2pgan.gan.nets.layers import settle, spectral_layers
from p2pgan.gan.optimizer import FlatAdam
from p2pgan.gan.passes import Batch, Judgement, Passes
from p2pgan.gan.precision import Precision
from p2pgan.gan.randomness import generator_for, image_latents, microbatch_latents
from p2pgan.gan.schedule import schedule_factor

FIXED_IMAGES = 16
"""Drawn from the same noise each time, to see whether they still differ."""
HELD_OUT_IMAGES = 64
"""Looked at each time, the same ones."""
CPU = torch.device("cpu")

Result = TypeVar("Result")


@dataclass(frozen=True)
class StepStats:
    """What one step showed; means over its images."""

    images: int
    loss_g: float
    """Where the generator made no step, on the images drawn for the discriminator."""
    loss_d: float
    """Without penalties."""
    d_real: float
    """D(x), as a probability."""
    d_fake: float
    """D(G(z)) before the discriminator's step, as a probability."""
    r1: float | None
    """The squared gradient norm at real images, where it was computed."""
    finite: bool
    """False if a loss or gradient was not: that network's step was left out and its weights kept."""
    r2: float | None = None
    """The same at drawn images."""
    sign_real: float = 0.0
    """Mean sign of D on real images, of the difference to drawn ones for relative losses."""
    grad_g: float = 0.0
    """Norm of the generator's gradient, of the last one where it made no step."""
    grad_d: float = 0.0
    """Norm of the discriminator's gradient, penalties included."""


@dataclass(frozen=True)
class Look:
    """What the networks show between steps."""

    diversity: float
    """Root mean square difference of two images out of a fixed batch of drawn ones, in [-1, 1] pixels."""
    sign_held_out: float | None
    """Mean sign of D on images it never trains on; None if none are held out."""


@dataclass(frozen=True)
class _Step:
    batch: Batch
    lazy: bool
    """R1 and R2 are due."""
    with_g: bool
    """The generator's step is."""


class Trainer:
    """Local weights, their optimizers, and the images they learn from.

    All parameters are views of one flat vector, and Adam sees one parameter per network, so taking
    and loading weights is a single copy. Every method takes a lock: a training thread and the
    thread that averages may both call it, and each sees the weights between two steps.
    """

    def __init__(self, config: GanConfig, images: ImageSet, device: torch.device | str = "cpu") -> None:
        """Raises ConfigError if the images are not of the configured resolution or classes."""
        _check_images(config, images)
        self.config = config
        self.images = images
        self.device = torch.device(device)
        self.device_batch = config.microbatch
        """Images that pass through the networks at once; less than configured after memory ran out."""
        self.pace = 1.0
        """What the learning rates are multiplied with, beside the schedule."""
        self._lock = threading.Lock()
        self._images_counted = 0
        generator, discriminator = build(config.model, config.seed)
        self.layout: Layout = layout_of(generator, discriminator)
        initial = flatten(self.layout, generator, discriminator)
        self._generator = generator.to(self.device)
        self._discriminator = discriminator.to(self.device)
        self._spectral = spectral_layers(self._discriminator)
        self._order = LocalOrder(self.layout, channels_last=config.model.name in NETS)
        self._theta = self._order.of(initial).to(self.device, copy=True)
        """In local order, as the gradients are."""
        gradient = self._gradient = torch.zeros_like(self._theta)
        self._order.bind(self._theta, gradient, self._generator, self._discriminator)
        g, d = self.layout.slice_of("G"), self.layout.slice_of("D")
        settings = config.optimizer
        self._adam_g = FlatAdam(self._theta[g], gradient[g], settings, settings.lr_g)
        self._adam_d = FlatAdam(self._theta[d], gradient[d], settings, settings.lr_d)
        self._grad_g = 0.0
        """Norm of the generator's last gradient."""
        self._precision = Precision(config.precision, self.device)
        self._augment = Augment(config.augment)
        self._passes = Passes(
            self._generator, self._discriminator, config.loss, self._precision, self._augment
        )

    def theta(self) -> Tensor:
        """A fresh copy of the weights: the canonical vector, CPU, float32."""
        with self._lock:
            return self._order.canonical(self._theta.to("cpu", copy=True))

    def load(self, theta: Tensor) -> None:
        """Replaces the weights; the optimizers' moments stay. Raises WeightsError for another layout."""
        local = self._order.of(theta)
        with self._lock:
            self._theta.copy_(local)
            settle(self._discriminator)

    def rebase(self, old_base: Tensor, new_base: Tensor) -> None:
        """Moves to a new version and keeps what was learned since the old one.

        ``theta = new_base + (theta - old_base)``; the optimizers' moments stay.
        """
        old, new = self._order.of(old_base), self._order.of(new_base)
        with self._lock:
            self._theta.sub_(old.to(self.device)).add_(new.to(self.device))
            settle(self._discriminator)

    def move(self, by: Tensor) -> None:
        """Adds a vector to all weights; the optimizers' moments stay."""
        local = self._order.of(by)
        with self._lock:
            self._theta.add_(local.to(self.device))
            settle(self._discriminator)

    def at(self, images: int) -> None:
        """Learning rates are from now on those of a run that has counted so many images."""
        with self._lock:
            self._images_counted = images

    def forget_moments(self) -> None:
        """The optimizers start over, as after gradients that spoiled their moments."""
        with self._lock:
            self._adam_g.forget()
            self._adam_d.forget()

    def train_microbatch(self, epoch: int, start: int, stop: int) -> StepStats:
        """One step of each network on the images at positions ``[start, stop)`` of an epoch.

        The generator makes one in every ``loss.d_steps`` only, by their place in the epoch.

        They pass through the networks ``device_batch`` at a time; where the device's memory runs out,
        that is halved. Raises ConfigError if not even one image fits.
        """
        with self._lock:
            lazy = start // self.config.step_images % self.config.loss.r1_every == 0
            return self._train(self._next_step(epoch, start, stop, lazy), self._descend, d_stays=False)

    def gradients(
        self,
        epoch: int,
        start: int,
        stop: int,
        weight: float,
        into: Tensor,
        *,
        add: bool,
        lazy: bool,
        d_is_there: Callable[[slice], None],
    ) -> StepStats:
        """Both networks' gradients on the images at ``[start, stop)`` of an epoch, times ``weight``.

        ``lazy`` says whether R1 and R2 are due: their place in the epoch does not decide it, since all who
        share in a step must agree. Both are taken at the weights as they are, which stay, so that they can
        be averaged with those of others and applied together. A gradient that is not finite counts as none.
        They are written to ``into``, float32 (P,), CPU, or added to what it holds. ``d_is_there`` is called
        with D's place in it once D's are there; G's are computed after that.
        """

        def keep(adam: FlatAdam, is_finite: bool) -> None:
            if not is_finite:
                adam.clear()
            network: Network = "D" if adam is self._adam_d else "G"
            part = self.layout.slice_of(network)
            gradient = self._order.canonical(self._gradient, network).to("cpu")
            if add:
                into[part].add_(gradient * weight)
            else:
                torch.mul(gradient, weight, out=into[part])
            if network == "D":
                d_is_there(part)

        with self._lock:
            return self._train(self._next_step(epoch, start, stop, lazy), keep, d_stays=True)

    def look(self) -> Look:
        """Signals that need images of their own; changes nothing but ``device_batch``, as a step may."""
        with self._lock, torch.no_grad(), self._precision.full():
            return self._fitting(self._look)

    def _look(self) -> Look:
        latents = image_latents(self.config.seed, 0, FIXED_IMAGES, self.config.model.latent_dim)
        classes = self.config.model.num_classes
        labels = torch.arange(FIXED_IMAGES) % classes if classes else None
        fake = self._in_parts(self._generator, latents, labels)
        # Twice the variance is the mean square of a difference.
        diversity = fake.var(dim=0).mean().mul(2).sqrt().item()
        return Look(diversity, self._sign_held_out(fake, labels))

    def _sign_held_out(self, fake: Tensor, labels: Tensor | None) -> float | None:
        held_out = self.images.held_out
        if held_out is None:
            return None
        indices = torch.arange(min(HELD_OUT_IMAGES, held_out.count))
        real_labels = held_out.labels_of(indices) if labels is not None else None
        real = _pixels(held_out, indices, CPU, self._order.images)
        logits = self._in_parts(self._discriminator, real, real_labels)
        if self.config.loss.is_relative:
            logits = logits - self._in_parts(self._discriminator, fake, labels).mean()
        return logits.sign().mean().item()

    def _in_parts(self, network: nn.Module, inputs: Tensor, labels: Tensor | None) -> Tensor:
        """``network`` on inputs that may be elsewhere, ``device_batch`` of them on the device at a time."""
        parts = [
            slice(start, start + self.device_batch) for start in range(0, len(inputs), self.device_batch)
        ]
        outputs = [
            run_network(
                network,
                inputs[part].to(self.device),
                None if labels is None else labels[part].to(self.device),
            )
            for part in parts
        ]
        return torch.cat(outputs)

    def _next_step(self, epoch: int, start: int, stop: int, lazy: bool) -> _Step:
        """What a step is made from, and what is due in it."""
        if not 0 <= start < stop <= self.images.count:
            raise InternalError(f"positions [{start}, {stop}) are not within {self.images.count} images")
        batch = self._fitting(lambda: self._batch(epoch, start, stop))
        for layer in self._spectral:
            layer.advance()
        number = start // self.config.step_images
        return _Step(batch, lazy, (number + 1) % self.config.loss.d_steps == 0)

    def _batch(self, epoch: int, start: int, stop: int) -> Batch:
        seed, count = self.config.seed, stop - start
        # Once the device's memory has run out, a step's parts go there one by one.
        place = CPU if self.device_batch < min(count, self.config.microbatch) else self.device
        indices = self.images.order(seed, epoch)[start:stop]
        latents = microbatch_latents(seed, epoch, start, count, self.config.model.latent_dim)
        labels = self.images.labels_of(indices).to(place) if self.config.model.num_classes else None
        draws = augment_draws(seed, epoch, start, count).to(place) if self._augment.configured else None
        shares = None
        if self.config.loss.name == "wgan-gp":
            shares = torch.rand(count, generator=generator_for(seed, "between", epoch, start)).to(place)
        real = _pixels(self.images, indices, place, self._order.images)
        return Batch(self.device, real, latents.to(place), labels, draws, shares)

    def _descend(self, adam: FlatAdam, is_finite: bool) -> None:
        """A local step, left out where it is not finite."""
        if is_finite:
            adam.descend(self.pace * schedule_factor(self.config.schedule, self._images_counted))

    def _train(self, step: _Step, use: Callable[[FlatAdam, bool], None], *, d_stays: bool) -> StepStats:
        """The gradients of D and then of G, if it is due; ``use`` is called with each once it is there.

        ``d_stays`` says that ``use`` leaves D as it is.
        """
        batch = step.batch

        def judge() -> Judgement:
            return self._passes.discriminator(
                batch, self.device_batch, step.lazy, with_g=step.with_g, d_stays=d_stays
            )

        judged, grad_d = self._differentiate(self._adam_d, judge)
        d_is_finite = math.isfinite(judged.loss) and math.isfinite(grad_d)
        use(self._adam_d, d_is_finite)
        loss_g, g_is_finite = judged.loss_g, True
        if step.with_g:
            loss_g, self._grad_g = self._differentiate(
                self._adam_g, lambda: self._passes.generator(batch, self.device_batch)
            )
            g_is_finite = math.isfinite(loss_g) and math.isfinite(self._grad_g)
            use(self._adam_g, g_is_finite)
        if d_is_finite and g_is_finite:
            self._precision.step_was_sound()
            self._augment.follow(judged.sign, len(batch))
        return StepStats(
            images=len(batch),
            loss_g=loss_g,
            loss_d=judged.loss,
            d_real=judged.d_real,
            d_fake=judged.d_fake,
            r1=judged.r1,
            finite=d_is_finite and g_is_finite,
            r2=judged.r2,
            sign_real=judged.sign,
            grad_g=self._grad_g,
            grad_d=grad_d,
        )

    def _differentiate(self, adam: FlatAdam, passes: Callable[[], Result]) -> tuple[Result, float]:
        """What ``passes`` returns and the norm of its gradients, in parts and at a scale that fit."""

        def attempt() -> Result:
            adam.clear()
            return passes()

        while True:
            scale = self._precision.scale
            result = self._fitting(attempt)
            norm = adam.unscale(scale)
            if math.isfinite(norm) or not self._precision.lower_scale():
                return result, norm

    def _fitting(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns; where memory runs out, ``device_batch`` is halved and it is begun anew."""
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Not above: the error holds on to what the failed work had in memory.
            self._halve()

    def _halve(self) -> None:
        if self.device_batch == 1:
            raise ConfigError(
                f"not even one image fits the memory of {self.device}; set a smaller gan.model.width, "
                "or train with --device cpu",
                Trouble.MEMORY,
            )
        self.device_batch = (self.device_batch + 1) // 2
        self._passes.forget()
        give_memory_back(self.device)


def _pixels(images: ImageSet, indices: Tensor, place: torch.device, order: torch.memory_format) -> Tensor:
    """Images at ``place``, float32 in [-1, 1]."""
    pixels = images.batch(indices).to(place)
    return pixels.to(torch.float32, memory_format=order).div_(127.5).sub_(1.0)


def _check_images(config: GanConfig, images: ImageSet) -> None:
    model = config.model
    if images.resolution != model.resolution:
        raise ConfigError(f"the images are {images.resolution} px but the model is {model.resolution} px")
    if model.num_classes and images.classes != model.num_classes:
        have = f"have {images.classes} classes" if images.classes else "have no classes"
        raise ConfigError(
            f"the images {have} but the model has {model.num_classes}; set gan.model.num_classes, "
            "or 0 to ignore classes"
        )
