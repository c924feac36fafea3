"""``lead`` and ``join`` from their first moment: a line at once, and only then torch, which takes seconds."""

from __future__ import annotations

from collections.abc import Callable

from p2pgan.peer.departure import Departure
from p2pgan.peer.log import Log
from p2pgan.peer.options import JoinOptions, LeadOptions, PeerOptions


def lead(options: LeadOptions) -> None:
    """Create the run or take it up again, and take part until it ends or the user leaves.

    Raises:
        P2pganError: one line that says what is wrong and what to do.
    """

    def run(log: Log, departure: Departure) -> str:
        from p2pgan.peer.run import lead as lead_run

        return lead_run(options, log, departure)

    _run(run, options)


def join(options: JoinOptions) -> None:
    """Take part in a run until it ends or the user leaves.

    Raises:
        P2pganError: one line that says what is wrong and what to do.
    """

    def run(log: Log, departure: Departure) -> str:
        from p2pgan.peer.run import join as join_run

        return join_run(options, log, departure)

    _run(run, options)


def _run(run: Callable[[Log, Departure], str], options: PeerOptions) -> None:
    log, departure = Log(options.log_format), Departure()
    with departure.on_signals():
        try:
            log.note("start", "starting: loading torch takes a few seconds")
            reason = run(log, departure)
        except KeyboardInterrupt:
            reason = "left before it took part"
        log.note("leaving", reason)  # the last line: whoever waits for the end sees that it is there
