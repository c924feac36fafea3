"""What training showed, told by those who trained and noted by the leader with each version."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated

import msgspec

from p2pgan.protocol.ids import Count, PeerId

MOST_LOSS = 1e6
"""A loss beyond it is told as this: what is drawn and averaged must stay a picture."""

Loss = Annotated[float, msgspec.Meta(ge=-MOST_LOSS, le=MOST_LOSS)]
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Losses(msgspec.Struct, frozen=True, array_like=True):
    """What the training behind one contribution showed: means over its images. Nothing is decided by it."""

    loss_g: Loss
    loss_d: Loss
    d_real: Probability
    """D(x)."""
    d_fake: Probability
    """D(G(z))."""


def losses(loss_g: float, loss_d: float, d_real: float, d_fake: float) -> Losses | None:
    """Within the bounds of what may be told; None if one of them is no number."""
    if not all(map(isfinite, (loss_g, loss_d, d_real, d_fake))):
        return None
    g, d = (max(-MOST_LOSS, min(MOST_LOSS, loss)) for loss in (loss_g, loss_d))
    real, fake = (max(0.0, min(1.0, probability)) for probability in (d_real, d_fake))
    return Losses(g, d, real, fake)


class PeerMetric(msgspec.Struct, frozen=True):
    """One contributor's part in a version."""

    images_per_s: float
    """As the leader measured it."""
    losses: Losses | None
    """As the peer told it; None if it did not."""


class RoundMetric(msgspec.Struct, frozen=True):
    """How the round went that made a version."""

    version: Count
    seconds: float
    """Since the version before. Not since the plan: what was trained under the last leader counts as well."""
    peers: Mapping[PeerId, PeerMetric]
    """The contributors."""
