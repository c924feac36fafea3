"""What to train and how: the part of a run's configuration that the GAN needs.

The models are frozen and refuse unknown keys, so a typing error in a YAML file is an error and
not a silently ignored wish.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from p2pgan.errors import ConfigError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(_Frozen):
    """The pair of networks."""

    name: Literal["mlp", "dcgan"] = Field("dcgan", description="Which networks; mlp is 32 px only.")
    resolution: Literal[32, 64] = Field(32, description="Height and width of the images in pixels.")
    width: Annotated[int, Field(ge=8, le=512, multiple_of=8)] = Field(
        16,
        description="dcgan: channels at half the resolution, doubled at each further halving. "
        "By default 16 at 32 px and 32 at 64 px.",
    )
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = Field(
        100, description="Length of the noise vector an image is drawn from."
    )

    @model_validator(mode="before")
    @classmethod
    def _width_follows_resolution(cls, values: Any) -> Any:
        if isinstance(values, dict) and "width" not in values and values.get("resolution") == 64:
            return {**values, "width": 32}
        return values

    @model_validator(mode="after")
    def _mlp_is_small(self) -> Self:
        if self.name == "mlp" and self.resolution != 32:
            raise ValueError("mlp draws 32 px images only; use dcgan for 64 px")
        return self


class LossConfig(_Frozen):
    """The adversarial loss and its regularisation."""

    name: Literal["bce"] = Field("bce", description="Non-saturating cross entropy on logits.")
    r1_gamma: Annotated[float, Field(ge=0.0, le=1e4)] = Field(
        0.1, description="Weight of the R1 gradient penalty on real images; 0 turns it off."
    )
    r1_every: Annotated[int, Field(ge=1, le=1024)] = Field(
        16, description="R1 is computed on every such microbatch of an epoch, and weighs as much more."
    )


class OptimizerConfig(_Frozen):
    """Adam, one for each network."""

    lr_g: Annotated[float, Field(gt=0.0, le=1.0)] = Field(1e-3, description="Generator's learning rate.")
    lr_d: Annotated[float, Field(gt=0.0, le=1.0)] = Field(1e-3, description="Discriminator's learning rate.")
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.0, description="Decay of the first moment.")
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.99, description="Decay of the second moment.")


class GanConfig(_Frozen):
    """Everything that decides what a microbatch does to the weights."""

    model: ModelConfig = Field(default_factory=ModelConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    microbatch: Annotated[int, Field(ge=1, le=4096)] = Field(
        32, description="Images of one step; the same on every peer."
    )
    ema_half_life_images: Annotated[float, Field(gt=0.0, le=1e9)] = Field(
        10_000.0, description="Images after which a past state weighs half in the averaged generator."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        1, description="Decides initial weights, order of images and noise."
    )


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
