"""``lead`` and ``join`` from their first moment: a line at once, then the run, and only then torch.

Loading torch takes seconds; a mistyped DSN, password, setting or data set is told before that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from p2pgan.allocator import keep_freed_memory
from p2pgan.peer.departure import Departure
from p2pgan.peer.log import Log
from p2pgan.peer.options import JoinOptions, LeadOptions, PeerOptions
from p2pgan.peer.trackers import check_trackers, open_trackers

if TYPE_CHECKING:
    from p2pgan.peer.meeting import Meeting


def lead(options: LeadOptions) -> None:
    """Create the run or take it up again, and take part until it ends or the user leaves.

    Raises:
        P2pganError: one line that says what is wrong and what to do.
    """

    def meet(_log: Log) -> AbstractContextManager[Meeting]:
        from p2pgan.peer.meeting import to_lead

        return to_lead(options)

    _run(meet, options, trains=not options.no_train)


def join(options: JoinOptions) -> None:
    """Take part in a run until it ends or the user leaves.

    Raises:
        P2pganError: one line that says what is wrong and what to do.
    """

    def meet(log: Log) -> AbstractContextManager[Meeting]:
        from p2pgan.peer.meeting import to_join

        return to_join(options, log)

    _run(meet, options, trains=True)


def _run(meet: Callable[[Log], AbstractContextManager[Meeting]], options: PeerOptions, trains: bool) -> None:
    departure = Departure()
    with departure.on_signals(), Log(options.log_format) as log:
        try:
            check_trackers(options.trackers)
            log.note("start", "starting: loading torch takes a few seconds")
            kept = keep_freed_memory()
            if kept is not None:
                log.note("memory", kept)
            with meet(log) as meeting:
                from p2pgan.peer.run import take_part

                log.track(open_trackers(options.trackers, options.name))
                reason = take_part(meeting, options, trains, log, departure)
        except KeyboardInterrupt:
            reason = "left before it took part"
        log.close()
        log.note("leaving", reason)  # the last line: whoever waits for the end sees that it is there
