"""Everything that the dashboard of a run gives out, as a command that runs beside it."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request

from tests.integration.run.processes import DEADLINE_S, start_command
from tests.integration.run.swarm import Swarm

NEWS = 3
"""Events of the stream that are read: the state now, and what changes."""


def everything_shown(swarm: Swarm) -> dict[str, str]:
    """By path, each answer with its headers; what the command itself says under its name."""
    command = start_command(swarm.dsn, "dashboard", "--port", "0", "--debug")
    assert command.stdout is not None
    try:
        first = command.stdout.readline()
        address = first.split()[-1].rstrip("/")
        shown = {path: _answer(address + path) for path in _paths(swarm)}
        stream = f"/api/runs/{swarm.run_id}/stream"
        shown[stream] = _stream(address + stream)
    finally:
        command.send_signal(signal.SIGTERM)
        said, complaint = command.communicate(timeout=DEADLINE_S)
    return {**shown, "dashboard": first + said + complaint}


def _paths(swarm: Swarm) -> list[str]:
    run = f"/api/runs/{swarm.run_id}"
    peers = list(swarm.names())
    curves = "&".join(f"peer={peer}" for peer in peers[:8])
    return [
        *("/", "/metrics", f"/api/status?run={swarm.run}", "/api/runs"),
        *(
            f"{run}/samples",
            f"{run}/samples/0.png",
            f"{run}/curves?{curves}",
            f"{run}/units",
            f"{run}/events",
        ),
        *(f"{run}/peer?id={peer}" for peer in peers),
        *("/api/status?run=none", f"{run}/events?before=-1", "/nowhere"),
    ]


def _answer(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=DEADLINE_S) as answer:
            return f"{answer.headers}\n{answer.read().decode(errors='replace')}"
    except urllib.error.HTTPError as refusal:
        with refusal:
            return f"{refusal.headers}\n{refusal.read().decode(errors='replace')}"


def _stream(address: str) -> str:
    """The first events of a stream."""
    lines: list[str] = []
    with urllib.request.urlopen(address, timeout=DEADLINE_S) as news:
        while sum(line.startswith("event: ") for line in lines) <= NEWS:
            lines.append(news.readline().decode())
    return "".join(lines)
