"""What training showed, told by those who trained and noted by the leader with each version."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated

import msgspec

from p2pgan.protocol.ids import Count, PeerId

MOST_LOSS = 1e6
"""A loss beyond it is told as this: what is drawn and averaged must stay a picture."""

MOST_SIZE = 1e12
"""The same for norms and slopes."""

MOST_BYTES = 10**15
"""The same for what a round took on the wire."""

Loss = Annotated[float, msgspec.Meta(ge=-MOST_LOSS, le=MOST_LOSS)]
Size = Annotated[float, msgspec.Meta(ge=0.0, le=MOST_SIZE)]
Cosine = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]
Sign = Cosine
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=MOST_BYTES)]


class Signals(msgspec.Struct, frozen=True, array_like=True):
    """How healthy the training behind a contribution is; docs/training.md says what is well."""

    sign_real: Sign
    """Mean sign of D on real images."""
    grad_g: Size
    grad_d: Size
    """Norms of the gradients."""
    r1: Size | None = None
    """Squared slope of D at real images, where it was computed."""
    sign_held_out: Sign | None = None
    """As ``sign_real``, on images that are not trained on; None without them."""
    diversity: Size | None = None
    """How far drawn images differ from each other, when it was last looked at."""


class Agreement(msgspec.Struct, frozen=True, array_like=True):
    """How a contribution stands to the mean that it went into."""

    cosine: Cosine
    """1: the same direction, 0: nothing in common, below: against it."""
    drift: Size
    """Their distance, in lengths of the mean."""


class Losses(msgspec.Struct, frozen=True, array_like=True):
    """What the training behind one contribution showed: means over its images. Nothing is decided by it."""

    loss_g: Loss
    loss_d: Loss
    d_real: Probability
    """D(x)."""
    d_fake: Probability
    """D(G(z))."""
    signals: Signals | None = None
    agreement: Agreement | None = None
    """Known once the mean is."""


def losses(
    loss_g: float, loss_d: float, d_real: float, d_fake: float, signals: Signals | None = None
) -> Losses | None:
    """Within the bounds of what may be told; None if one of them is no number."""
    if not all(map(isfinite, (loss_g, loss_d, d_real, d_fake))):
        return None
    g, d = (max(-MOST_LOSS, min(MOST_LOSS, loss)) for loss in (loss_g, loss_d))
    real, fake = (max(0.0, min(1.0, probability)) for probability in (d_real, d_fake))
    return Losses(g, d, real, fake, signals)


def signals(
    sign_real: float,
    grad_g: float,
    grad_d: float,
    r1: float | None,
    sign_held_out: float | None,
    diversity: float | None,
) -> Signals | None:
    """As ``losses``."""
    told = (sign_real, grad_g, grad_d, r1, sign_held_out, diversity)
    if not all(value is None or isfinite(value) for value in told):
        return None
    return Signals(
        _sign(sign_real),
        _size(grad_g),
        _size(grad_d),
        None if r1 is None else _size(r1),
        None if sign_held_out is None else _sign(sign_held_out),
        None if diversity is None else _size(diversity),
    )


def agreement(cosine: float, drift: float) -> Agreement | None:
    """As ``losses``."""
    if not (isfinite(cosine) and isfinite(drift)):
        return None
    return Agreement(_sign(cosine), _size(drift))


def _sign(value: float) -> float:
    return max(-1.0, min(1.0, value))


def _size(value: float) -> float:
    return max(0.0, min(MOST_SIZE, value))


class Traffic(msgspec.Struct, frozen=True, array_like=True):
    """What a transport moved for everything that peers say to each other, counted where it is handed on.

    Sealed frames and messages; what ZeroMQ's encryption, TCP and IP add is not in it.
    """

    sent: Bytes
    received: Bytes

    def since(self, earlier: Traffic) -> Traffic:
        """What came on top of ``earlier``."""
        return Traffic(self.sent - earlier.sent, self.received - earlier.received)


class PeerMetric(msgspec.Struct, frozen=True):
    """One contributor's part in a version."""

    images_per_s: float
    """As the leader measured it, or as the peer says while this leader has not timed it."""
    losses: Losses | None
    """As the peer told it; None if it did not."""
    traffic: Traffic | None = None
    """From its vote for the version before to that for this one, as it told it."""


class RoundMetric(msgspec.Struct, frozen=True):
    """How the round went that made a version."""

    version: Count
    seconds: float
    """Since the version before. Not since the plan: what was trained under the last leader counts as well."""
    peers: Mapping[PeerId, PeerMetric]
    """The contributors."""
