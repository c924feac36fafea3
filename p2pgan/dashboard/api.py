"""What the page and programs can ask for: every answer is bounded, whatever the history's length."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from p2pgan.dashboard.prometheus import exposition
from p2pgan.dashboard.source import Source
from p2pgan.dashboard.stream import Hub
from p2pgan.errors import P2pganError, RendezvousError, RunError
from p2pgan.rendezvous import Rendezvous, RunRow, StatusSnapshot

MOST_NUMBER = 2**62
MOST_POINTS = 2000
MOST_PEERS = 8
"""Whose curves are drawn at the same time."""
MOST_CELLS = 1024
MOST_EVENTS = 200
MOST_SAMPLES = 1000
MOST_TEXT = 200
MOST_RUNS = 100


class BadRequest(Exception):
    """A parameter cannot be; its text says which."""


def number(request: Request, name: str, default: int, least: int = 0, most: int = MOST_NUMBER) -> int:
    """A number from path or query. Raises BadRequest if it is none, or out of bounds."""
    said = request.path_params.get(name, request.query_params.get(name))
    if said is None:
        return default
    try:
        value = int(said)
    except ValueError:
        raise BadRequest(f"{name} is no number") from None
    if not least <= value <= most:
        raise BadRequest(f"{name} must be from {least} to {most}")
    return value


def text(request: Request, name: str) -> str | None:
    """A text from the query. Raises BadRequest if it is too long or cannot be in a database."""
    said = request.query_params.get(name)
    if said is not None and (len(said) > MOST_TEXT or "\0" in said):
        raise BadRequest(f"{name} is no text of at most {MOST_TEXT} characters")
    return said


def as_json(value: object, status: int = 200) -> Response:
    """An answer of JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


@dataclass(frozen=True)
class Api:
    """The endpoints."""

    source: Source
    hub: Hub

    def routes(self) -> list[Route]:
        run = "/api/runs/{run:int}"
        return [
            Route("/metrics", self.metrics),
            *(
                Route(path, _answered(endpoint))
                for path, endpoint in {
                    "/api/status": self.status,
                    "/api/runs": self.runs,
                    f"{run}/stream": self.stream,
                    f"{run}/samples": self.samples,
                    f"{run}/samples/{{version:int}}.png": self.sample,
                    f"{run}/curves": self.curves,
                    f"{run}/units": self.units,
                    f"{run}/events": self.events,
                    f"{run}/peer": self.peer,
                }.items()
            ),
        ]

    async def status(self, request: Request) -> Response:
        """What ``p2pgan status --json`` prints."""
        name = text(request, "run")
        return as_json(await self.source.ask(("status", name), lambda db: db.status(db.find_run(name).id)))

    async def runs(self, request: Request) -> Response:
        return as_json(await self.source.ask("runs", _runs))

    async def metrics(self, request: Request) -> Response:
        try:
            text = exposition(await self.source.ask("metrics", _statuses))
        except RendezvousError:
            text = exposition(None)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def stream(self, request: Request) -> Response:
        run = number(request, "run", 0)
        if self.hub.full:
            return as_json({"error": "too many pages watch; close some"}, 503)
        return StreamingResponse(self.hub.watch(run), media_type="text/event-stream")

    async def samples(self, request: Request) -> Response:
        run = number(request, "run", 0)
        versions = await self.source.ask(("samples", run), lambda db: db.sample_versions(run, MOST_SAMPLES))
        return as_json({"versions": versions})

    async def sample(self, request: Request) -> Response:
        run, version = number(request, "run", 0), number(request, "version", 0)
        png = await self.source.ask(("sample", run, version), lambda db: db.sample(run, version))
        # The weights of a version never change, nor does their picture.
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    async def curves(self, request: Request) -> Response:
        run = number(request, "run", 0)
        part = (number(request, "first", 0), number(request, "last", MOST_NUMBER))
        points = number(request, "points", 500, 1, MOST_POINTS)
        peers = tuple(sorted(set(request.query_params.getlist("peer"))))
        if len(peers) > MOST_PEERS or any(len(peer) > 64 or "\0" in peer for peer in peers):
            raise BadRequest(f"peer must name at most {MOST_PEERS} peers")

        def read(db: Rendezvous) -> object:
            return {
                "mean": _columns(db.curves(run, *part, points)),
                "peers": _columns(db.peer_curves(run, peers, *part, points) if peers else ()),
                "scores": _columns(db.score_curve(run, *part, points)),
                "marks": db.marks(run, *part, min(points, 100)),
            }

        return as_json(await self.source.ask(("curves", run, part, points, peers), read))

    async def units(self, request: Request) -> Response:
        run, epoch = number(request, "run", 0), number(request, "epoch", 0, most=2**31 - 1)
        cells = await self.source.ask(("units", run, epoch), lambda db: db.unit_cells(run, epoch, MOST_CELLS))
        return as_json({"epoch": epoch, "cells": [(c.first, c.last, c.done, c.leased) for c in cells]})

    async def events(self, request: Request) -> Response:
        run, before = number(request, "run", 0), number(request, "before", MOST_NUMBER)
        kind, peer, words = (text(request, name) for name in ("kind", "peer", "words"))
        marks = number(request, "marks", 0, most=1) == 1

        def read(db: Rendezvous) -> object:
            page = db.events_page(
                run, MOST_EVENTS, before=before, kind=kind, peer=peer, words=words, marks=marks
            )
            return {"events": page, "kinds": db.event_kinds(run)}

        return as_json(await self.source.ask(("events", run, before, kind, peer, words, marks), read))

    async def peer(self, request: Request) -> Response:
        run, peer = number(request, "run", 0), text(request, "id") or ""
        return as_json(await self.source.ask(("peer", run, peer), lambda db: db.peer_facts(run, peer)))


def _answered(
    endpoint: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint with errors as answers: one line of JSON that says what is wrong."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadRequest as error:
            return as_json({"error": str(error)}, 400)
        except RunError as error:
            return as_json({"error": str(error)}, 404)
        except P2pganError as error:
            return as_json({"error": str(error)}, 503)

    return answer


def _runs(db: Rendezvous) -> list[dict[str, object]]:
    """The newest runs first, each with what its line in the list shows."""
    return [_in_list(db, run) for run in reversed(db.list_runs()[-MOST_RUNS:])]


def _in_list(db: Rendezvous, run: RunRow) -> dict[str, object]:
    status, overview = db.status(run.id), db.overview(run.id)
    shown = {"id": run.id, "name": run.name, "state": run.state, "version": status["committed_version"]}
    return shown | {
        "images": status["images"],
        "images_per_s": status["images_per_s"],
        "last_commit_age_s": status["last_commit_age_s"],
        "peers": sum(peer["state"] in ("joining", "active") for peer in status["peers"]),
        "dataset": overview["dataset"],
        "created_at": overview["created_at"],
        "newest_sample": overview["newest_sample"],
    }


def _statuses(db: Rendezvous) -> list[StatusSnapshot]:
    return [db.status(run.id) for run in db.list_runs()]


def _columns(rows: object) -> dict[str, list[object]]:
    """Rows as columns, which is what the page draws and a third of the bytes."""
    plain = msgspec.to_builtins(rows)
    return {name: [row[name] for row in plain] for name in (plain[0] if plain else ())}
