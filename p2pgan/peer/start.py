"""``lead`` and ``join`` from their first moment: a line at once, and only then torch, which takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from p2pgan.peer.departure import Departure
from p2pgan.peer.log import Log
from p2pgan.peer.options import JoinOptions, LeadOptions, PeerOptions


def lead(options: LeadOptions) -> None:
    """Create the run or take it up again, and take part until it ends or the user leaves.

    Raises:
        P2pganError: one line that says what is wrong and what to do.
    """
    with _beginning(options) as (log, departure):
        from p2pgan.peer.run import lead as lead_run

        lead_run(options, log, departure)


def join(options: JoinOptions) -> None:
    """Take part in a run until it ends or the user leaves.

    Raises:
        P2pganError: one line that says what is wrong and what to do.
    """
    with _beginning(options) as (log, departure):
        from p2pgan.peer.run import join as join_run

        join_run(options, log, departure)


@contextmanager
def _beginning(options: PeerOptions) -> Iterator[tuple[Log, Departure]]:
    log, departure = Log(options.log_format), Departure()
    with departure.on_signals():
        try:
            log.note("start", "starting: loading torch takes a few seconds")
            yield log, departure
        except KeyboardInterrupt:
            log.note("leaving", "left before it took part")
