"""What must hold of a run's history, whoever crashed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from p2pgan.protocol.history import chain_problems, count_problems, journal_problems
from p2pgan.protocol.ids import VersionRecord


def audit(
    history: Sequence[VersionRecord],
    journals: Mapping[str, Iterable[VersionRecord]],
    image_count: int,
    complete_epochs: int = 0,
) -> list[str]:
    """All violations, one line each; none if the run is sound.

    ``history`` are the committed versions from the database, ``journals`` the versions that led each
    peer to the weights it left with, ``image_count`` the images of the data set, ``complete_epochs``
    the epochs that the database takes for complete.
    """
    return [
        *chain_problems(history),
        *count_problems(history, image_count, complete_epochs),
        *journal_problems(history, journals),
    ]
