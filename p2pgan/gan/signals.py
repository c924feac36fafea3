"""What the signals of a training say: the thresholds, explained for people in docs/training.md.

Of one unit as its peer sees it, or of a version's mean over all peers.
"""

from __future__ import annotations

from typing import Protocol

COLLAPSED = 0.05
"""Diversity below which drawn images are nearly one image."""
TOO_SURE = 0.98
"""Mean sign of D on real images above which it has nothing left to learn from them, if it knows drawn ones
as well: their D(G(z)) is then as near to 0. A relative loss has both in the sign, of a difference."""
BY_HEART = 0.5
"""Mean sign of D on real images above that on held-out ones by which it knows its images by heart."""
D_FELL = 0.02
"""Distance of D(x) from D(G(z)) below which D tells nothing apart, if G learns nothing either."""
NO_GRADIENT = 1e-6


class Shown(Protocol):
    """What is looked at; see :class:`p2pgan.gan.units.UnitStats`."""

    @property
    def d_real(self) -> float: ...
    @property
    def d_fake(self) -> float: ...
    @property
    def sign_real(self) -> float: ...
    @property
    def sign_held_out(self) -> float | None: ...
    @property
    def grad_g(self) -> float: ...
    @property
    def diversity(self) -> float | None: ...


def warning(shown: Shown, is_relative: bool) -> str | None:
    """What is wrong with the signals, in a line for people; None if nothing is.

    ``is_relative``: see ``LossConfig``.
    """
    if g_has_collapsed(shown):
        return f"drawn images are nearly one image (diversity {shown.diversity:.2f}): G has collapsed"
    if shown.sign_held_out is not None and shown.sign_real - shown.sign_held_out > BY_HEART:
        return (
            f"D knows its images by heart (sign {shown.sign_real:.2f}, held out {shown.sign_held_out:.2f}): "
            "augment, or raise R1"
        )
    if shown.sign_real > TOO_SURE and (is_relative or shown.d_fake < 1 - TOO_SURE):
        judged = "" if is_relative else f", D(x) {shown.d_real:.2f}, D(G(z)) {shown.d_fake:.2f}"
        return f"D is too sure (sign {shown.sign_real:.2f}{judged}): lower lr_d, or raise R1"
    if d_has_collapsed(shown):
        return "D tells nothing apart any more and G learns nothing: D has collapsed"
    return None


class Warner:
    """Says what is wrong once for as long as it lasts; the numbers in the text change all the time."""

    def __init__(self, is_relative: bool) -> None:
        self._is_relative = is_relative
        self._said: str | None = None

    def after(self, shown: Shown) -> str | None:
        """What to tell people of ``shown``, if it is anything new."""
        text = warning(shown, self._is_relative)
        kind = None if text is None else text.partition("(")[0]
        is_new = kind != self._said
        self._said = kind
        return text if is_new else None


def collapsed(shown: Shown) -> bool:
    """Whether only older weights help: one of the networks gives the other nothing to learn from."""
    return g_has_collapsed(shown) or d_has_collapsed(shown)


def g_has_collapsed(shown: Shown) -> bool:
    """Whether G draws nearly the same image whatever the noise."""
    return shown.diversity is not None and shown.diversity < COLLAPSED


def d_has_collapsed(shown: Shown) -> bool:
    """Whether D judges all images alike, so that G learns nothing."""
    return abs(shown.d_real - shown.d_fake) < D_FELL and shown.grad_g < NO_GRADIENT
