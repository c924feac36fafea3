"""The signals of a training as ``p2pgan status`` shows them, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pgan.gan.signals import collapsed, warning

if TYPE_CHECKING:
    from p2pgan.rendezvous import PeerStatus, ScoreShown, SignalsShown

COLUMNS = (
    "peer",
    "version",
    "D(x)",
    "D(G(z))",
    "sign",
    "held out",
    "R1",
    "gradients",
    "diversity",
    "cosine",
    "drift",
)


def cells(peer: PeerStatus, told: SignalsShown) -> tuple[str, ...]:
    """One row under ``COLUMNS``."""
    return (peer["name"], str(told["version"]), *_figures(told))


def lines(told: SignalsShown, is_relative: bool, rollback: str) -> list[str]:
    """Means over all peers, and what is wrong with them by the run's loss; ``rollback`` is the command that
    goes back.
    """
    figures = [f"{name} {figure}" for name, figure in zip(COLUMNS[2:], _figures(told), strict=True) if figure]
    text = [f"version {told['version']} showed: {', '.join(figures)}"]
    shown = _shown(told)
    if shown is not None and (wrong := warning(shown, is_relative)) is not None:
        text.append(f"warning: {wrong}")
        if collapsed(shown):
            text.append(f"to go back: {rollback}, with one of the versions kept: p2pgan versions lists them")
    return text


def is_relative(config: Mapping[str, object]) -> bool:
    """Of the loss of a run's configuration as the rendezvous has it, whichever release wrote it."""
    from p2pgan.gan.config import RELATIVE_LOSSES
    from p2pgan.peer.config import leaves

    return leaves(config).get("gan.loss.name") in RELATIVE_LOSSES


def score_line(scores: Sequence[ScoreShown], best: int | None) -> str:
    """The newest score, and which version has the best one of those kept."""
    last = scores[-1]
    text = f"version {last['version']} scored FID {last['fid']:.3f}, floor {last['floor']:.3f}"
    known = {score["version"]: score["fid"] for score in scores}
    if best is None or best == last["version"]:
        return f"{text}, the best of those kept"
    told = f", FID {known[best]:.3f}" if best in known else ""
    return f"{text}; the best of those kept is version {best}{told}"


@dataclass(frozen=True)
class _Shown:
    d_real: float
    d_fake: float
    sign_real: float
    sign_held_out: float | None
    grad_g: float
    diversity: float | None


def _shown(told: SignalsShown) -> _Shown | None:
    """None if nobody told of gradients, as before there were signals."""
    sign, gradient = told["sign_real"], told["grad_g"]
    if sign is None or gradient is None:
        return None
    return _Shown(told["d_real"], told["d_fake"], sign, told["sign_held_out"], gradient, told["diversity"])


def _figures(told: SignalsShown) -> tuple[str, ...]:
    grad_g, grad_d = told["grad_g"], told["grad_d"]
    return (
        f"{told['d_real']:.2f}",
        f"{told['d_fake']:.2f}",
        _two_digits(told["sign_real"]),
        _two_digits(told["sign_held_out"]),
        "" if told["r1"] is None else f"{told['r1']:.2g}",
        "" if grad_g is None or grad_d is None else f"{grad_g:.2g} {grad_d:.2g}",
        _two_digits(told["diversity"]),
        _two_digits(told["cosine"]),
        _two_digits(told["drift"]),
    )


def _two_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
