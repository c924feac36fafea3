"""The lab's pictures of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PEERS_IN_A_COLUMN = 8
"""Of a legend."""


@dataclass(frozen=True)
class UnitPoint:
    """One trained unit as a peer's journal tells it."""

    seconds: float
    """Since the run was created."""
    loss_g: float
    loss_d: float
    d_real: float
    d_fake: float


def draw_losses(units: Mapping[str, Sequence[UnitPoint]], path: Path) -> None:
    """Draws losses, D(x) and D(G(z)) of each peer over time, as a PNG at ``path``."""
    picture(units).savefig(path, dpi=110)


def picture(units: Mapping[str, Sequence[UnitPoint]]) -> Figure:
    """The figure itself, with the legends beside the axes: within, they would cover curves."""
    # matplotlib's figure without pyplot: no global state, no display, no backend to choose.
    from matplotlib.figure import Figure

    columns = 1 + (len(units) - 1) // PEERS_IN_A_COLUMN
    figure = Figure(figsize=(10 + 2 * columns, 7), layout="constrained")
    losses, judgement = figure.subplots(2, 1, sharex=True)
    for number, (peer, points) in enumerate(sorted(units.items())):
        colour = f"C{number}"
        minutes = [point.seconds / 60 for point in points]
        losses.plot(minutes, [p.loss_g for p in points], color=colour, lw=1, label=f"{peer}: G")
        losses.plot(minutes, [p.loss_d for p in points], color=colour, lw=1, ls="--", label=f"{peer}: D")
        judgement.plot(minutes, [p.d_real for p in points], color=colour, lw=1, label=f"{peer}: D(x)")
        judgement.plot(
            minutes, [p.d_fake for p in points], color=colour, lw=1, ls="--", label=f"{peer}: D(G(z))"
        )
    losses.set_ylabel("loss per unit")
    judgement.set_ylabel("probability of real")
    judgement.set_ylim(0, 1)
    judgement.set_xlabel("minutes")
    for axes in (losses, judgement):
        axes.grid(alpha=0.3)
        if units:
            axes.legend(fontsize="small", ncols=columns, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
