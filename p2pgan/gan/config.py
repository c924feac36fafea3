"""What to train and how: the part of a run's configuration that the GAN needs.

The models are frozen and refuse unknown keys, so a typing error in a YAML file is an error and
not a silently ignored wish. A key that a stored configuration lacks has its default, so the default of
a new key is what runs did before there was that key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from p2pgan.errors import ConfigError

RESOLUTIONS: Mapping[str, tuple[int, ...]] = {
    "mlp": (32,),
    "dcgan": (32, 64, 128),
    "resnet": (32, 64),
    "r3": (32, 64, 128),
}
"""The nets that come with p2pgan, and how large their images can be, in pixels."""
SHARDINGS = ("iid", "by-class")
"""The strategies that come with p2pgan; see ``p2pgan.gan.sharding``."""
OWN_NAME = re.compile(r"[A-Za-z_]\w{0,62}@[0-9a-f]{64}")
"""Name of an own net or sharding: the class or function, and the digest of the file that defines it."""


def names_a_file(name: str) -> bool:
    """Whether a net or a sharding is named as an own one is on the command line: ``path/to/file.py:NAME``."""
    return name.rpartition(":")[0].endswith(".py")


def file_of_own_net(requested: Mapping[str, object]) -> str | None:
    """The own net that nested keys of a run's configuration name by its file, if they do."""
    return _file_at(requested, "gan", "model", "name")


def file_of_own_sharding(requested: Mapping[str, object]) -> str | None:
    """The own sharding that nested keys of a run's configuration name by its file, if they do."""
    return _file_at(requested, "gan", "sharding")


def _file_at(values: object, *keys: str) -> str | None:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values if isinstance(values, str) and names_a_file(values) else None


def _known(name: str, kind: str, ours: Collection[str], what: str) -> str:
    """``name`` if it is one of ours or an own one's; ``what`` is what a file of the latter defines."""
    if name in ours or OWN_NAME.fullmatch(name):
        return name
    raise ValueError(f"there is no {kind} {name!r}; choose {', '.join(ours)} or path/to/file.py:{what}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(_Frozen):
    """The pair of networks."""

    name: Annotated[str, Field(max_length=160)] = Field(
        "dcgan",
        description="Which networks: mlp (32 px), dcgan, resnet (32 and 64 px), r3, "
        "or an own one as path/to/file.py:CLASS, kept as CLASS@DIGEST of the file.",
    )
    resolution: Literal[32, 64, 128] = Field(32, description="Height and width of the images in pixels.")
    width: Annotated[int, Field(ge=8, le=512, multiple_of=8)] = Field(
        16,
        description="Channels of the largest feature maps; smaller ones have more. By default 16 for "
        "dcgan (32 at 64 px), 32 for resnet and r3, 64 for small r3. mlp has its own.",
    )
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = Field(
        100, description="Length of the noise vector an image is drawn from."
    )
    norm: Literal["group", "batch", "none"] = Field(
        "group",
        description="Normalisation in the generator of dcgan and resnet; batch is also in dcgan's "
        "discriminator, as it was published.",
    )
    size: Literal["tiny", "small"] = Field(
        "tiny", description="r3: one or two residual blocks at each resolution."
    )
    num_classes: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="Classes of the images, for a conditional GAN; 0 ignores them."
    )

    @model_validator(mode="before")
    @classmethod
    def _width_follows_the_net(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "width" in values:
            return values
        name, size = values.get("name", "dcgan"), values.get("size", "tiny")
        if name in ("resnet", "r3"):
            return {**values, "width": 64 if (name, size) == ("r3", "small") else 32}
        return {**values, "width": 32} if values.get("resolution") == 64 else values

    @field_validator("name")
    @classmethod
    def _the_net_is_known(cls, name: str) -> str:
        return _known(name, "net", RESOLUTIONS, "CLASS")

    @model_validator(mode="after")
    def _the_net_draws_that_size(self) -> Self:
        sizes = RESOLUTIONS.get(self.name, (self.resolution,))
        if self.resolution not in sizes:
            others = [name for name, known in RESOLUTIONS.items() if self.resolution in known]
            raise ValueError(
                f"{self.name} draws {_either(map(str, sizes))} px images only; "
                f"use {_either(others)} for {self.resolution} px"
            )
        return self


RELATIVE_LOSSES = ("wgan-gp", "rp")
"""Of which only differences of logits have a meaning; the sign of one logit, or its size, has none."""


class LossConfig(_Frozen):
    """The adversarial loss and its regularisation."""

    name: Literal["bce", "hinge", "wgan-gp", "rp"] = Field(
        "bce",
        description="Non-saturating cross entropy, hinge, Wasserstein with gradient penalty, or "
        "relativistic pairing.",
    )
    r1_gamma: Annotated[float, Field(ge=0.0, le=1e4)] = Field(
        0.1, description="Weight of the R1 gradient penalty on real images; 0 turns it off."
    )
    r2_gamma: Annotated[float, Field(ge=0.0, le=1e4)] = Field(
        0.0, description="Weight of the R2 gradient penalty on drawn images; 0 turns it off."
    )
    r1_every: Annotated[int, Field(ge=1, le=1024)] = Field(
        16,
        description="R1 and R2 are computed on every such step of an epoch, with gradients on every such "
        "version, and weigh as much more.",
    )
    d_steps: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Steps of the discriminator for each of the generator, counted within an epoch; 5 where "
        "wgan-gp was published.",
    )
    gp_weight: Annotated[float, Field(ge=0.0, le=1e4)] = Field(
        10.0, description="wgan-gp: weight of the gradient penalty between real and drawn images."
    )

    @property
    def is_relative(self) -> bool:
        """Whether D compares images, and judges none by itself."""
        return self.name in RELATIVE_LOSSES


class OptimizerConfig(_Frozen):
    """Adam, one for each network."""

    lr_g: Annotated[float, Field(gt=0.0, le=1.0)] = Field(1e-3, description="Generator's learning rate.")
    lr_d: Annotated[float, Field(gt=0.0, le=1.0)] = Field(1e-3, description="Discriminator's learning rate.")
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.0, description="Decay of the first moment.")
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.99, description="Decay of the second moment.")


class ScheduleConfig(_Frozen):
    """How both learning rates fall, by the images that the whole run has counted."""

    name: Literal["constant", "cosine", "step"] = Field(
        "constant", description="cosine falls smoothly to the floor; step multiplies at every period."
    )
    images: Annotated[int, Field(ge=1, le=10**12)] = Field(
        10_000_000, description="cosine: images until the floor is reached; step: images of a period."
    )
    factor: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.5, description="step: what the learning rate is multiplied with after each period."
    )
    floor: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.1, description="The least share of the learning rate that is left."
    )


class AugmentConfig(_Frozen):
    """What is done alike to real and drawn images before the discriminator sees them."""

    policy: tuple[Literal["color", "translation", "cutout"], ...] = Field(
        (), description="Kinds of change, such as [color, translation, cutout]; none by default."
    )
    strength: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        1.0, description="Probability of each kind for an image; where it is adaptive, the highest."
    )
    adaptive: bool = Field(
        False, description="Start at 0 and follow the mean sign of D on real images; see training.md."
    )
    target: Annotated[float, Field(gt=-1.0, lt=1.0)] = Field(
        0.6, description="adaptive: the mean sign above which the strength rises."
    )
    ramp_images: Annotated[int, Field(ge=1, le=10**9)] = Field(
        500_000, description="adaptive: images that a peer trains while the strength goes from 0 to 1."
    )

    @model_validator(mode="after")
    def _each_kind_once(self) -> Self:
        if len(set(self.policy)) < len(self.policy):
            raise ValueError("each kind of change is named at most once")
        return self


class GanConfig(_Frozen):
    """Everything that decides what a step does to the weights."""

    model: ModelConfig = Field(default_factory=ModelConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    microbatch: Annotated[int, Field(ge=1, le=4096)] = Field(
        32, description="Images that pass through the nets at once; the same on every peer."
    )
    accumulate: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="Microbatches whose gradients are added up for one step."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "fp32",
        description="Numbers the nets compute with: auto is bf16 on a GPU that has it, else fp32. "
        "Weights, penalties and optimizers are fp32 always.",
    )
    hold_out: bool = Field(
        False,
        description="Keep 1% of the images, at most 1,000, out of training, to see whether D learns the "
        "others by heart.",
    )
    sharding: Annotated[str, Field(max_length=160)] = Field(
        "iid",
        description="Which images go to different peers: iid (all are alike), by-class, "
        "or an own strategy as path/to/file.py:FUNCTION, kept as FUNCTION@DIGEST of the file.",
    )
    ema_half_life_images: Annotated[float, Field(gt=0.0, le=1e9)] = Field(
        10_000.0, description="Images after which a past state weighs half in the averaged generator."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        1, description="Decides initial weights, order of images and noise."
    )

    @property
    def step_images(self) -> int:
        """Images of one step of each network; spans are cut at multiples of it."""
        return self.microbatch * self.accumulate

    @field_validator("sharding")
    @classmethod
    def _the_sharding_is_known(cls, name: str) -> str:
        return _known(name, "sharding", SHARDINGS, "FUNCTION")

    @model_validator(mode="after")
    def _penalties_look_at_single_images(self) -> Self:
        mixes = self.model.name == "dcgan" and self.model.norm == "batch"
        if mixes and (self.loss.name == "wgan-gp" or self.loss.r1_gamma > 0 or self.loss.r2_gamma > 0):
            raise ValueError(
                "a discriminator with batch normalisation mixes the images whose gradients a penalty needs; "
                "set gan.loss.r1_gamma=0 and gan.loss.name=bce (or hinge), or gan.model.norm=group"
            )
        return self


def parse_config(values: dict[str, Any] | str) -> GanConfig:
    """A GanConfig from plain values or JSON text.

    Raises ConfigError: one line that names the first wrong key and what is wrong with it.
    """
    try:
        if isinstance(values, str):
            return GanConfig.model_validate_json(values)
        return GanConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "configuration"
        raise ConfigError(f"{key}: {first['msg']}") from None


def _either(words: Iterable[str]) -> str:
    return " or ".join(words)
