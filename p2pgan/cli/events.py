"""``p2pgan events``: what happened in a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from p2pgan.cli import options as o
from p2pgan.cli.listing import print_lines, print_objects, time_of

if TYPE_CHECKING:
    from p2pgan.rendezvous.views import PageEvent


def events(
    rendezvous: o.Rendezvous,
    run: o.RunName = None,
    limit: o.Limit = o.USUAL_LIMIT,
    as_json: o.AsArray = False,
    debug: o.Debug = False,
) -> None:
    """List what happened in a run, the newest last: who came and went, who got the pen, what peers noted.

    Example: p2pgan events --rendezvous postgresql://me:secret@db.example.org/gan --limit 100
    """
    from p2pgan.rendezvous import open_rendezvous

    with open_rendezvous(rendezvous, read_only=True) as database:
        found = database.events_page(database.find_run(run).id, limit)[::-1]
    if as_json:
        print_objects(asdict(event) for event in found)
    else:
        print_lines(_line(event) for event in found)


def _line(event: PageEvent) -> str:
    text = f"{event.name}: {event.text}" if event.name and event.text else event.name or event.text
    return f"{time_of(event.at)} {event.kind:<9} {text}"
