"""``p2pgan versions``: the committed versions of a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from p2pgan.cli import options as o
from p2pgan.cli.listing import print_lines, print_objects, time_of
from p2pgan.protocol.texts import SHORT_ID, counted

if TYPE_CHECKING:
    from p2pgan.rendezvous import VersionRow


def versions(
    rendezvous: o.Rendezvous,
    run: o.RunName = None,
    limit: o.Limit = o.USUAL_LIMIT,
    as_json: o.AsArray = False,
    debug: o.Debug = False,
) -> None:
    """List the committed versions of a run, the newest last, and whose weights are still kept.

    Weights that are kept can be drawn from, with generate --version.

    Example: p2pgan versions --rendezvous postgresql://me:secret@db.example.org/gan --limit 50
    """
    from p2pgan.rendezvous import open_rendezvous

    with open_rendezvous(rendezvous, read_only=True) as database:
        rows = database.newest_versions(database.find_run(run).id, limit)[::-1]
    if as_json:
        print_objects(asdict(row) for row in rows)
    else:
        print_lines(_line(row) for row in rows)


def _line(row: VersionRow) -> str:
    if row.version:
        work = f"{counted(row.gained, 'image')} of {counted(row.peers, 'peer')}, {row.images:,} in all"
        text = f"{work}; term {row.term}, led by {row.name or 'nobody'}"
    else:
        text = "as the seed gave it"
    kept = ", weights kept" if row.stored else ""
    return f"{time_of(row.at)} version {row.version}: {text}; digest {row.digest[:SHORT_ID]}{kept}"
