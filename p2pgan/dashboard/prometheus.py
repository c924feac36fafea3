"""Statuses as Prometheus' text format, so that a monitor can draw and alert without a browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from p2pgan.rendezvous import PeerStatus, StatusSnapshot

Sample = tuple[dict[str, str], float]


def exposition(statuses: Sequence[StatusSnapshot] | None) -> str:
    """The text for all runs; None while the database cannot be read."""
    lines = list(
        _metric("up", "gauge", "Whether the database can be read.", [({}, float(statuses is not None))])
    )
    for name, kind, what, samples in _metrics(statuses or ()):
        lines += _metric(name, kind, what, samples)
    return "\n".join(lines) + "\n"


def _metrics(statuses: Sequence[StatusSnapshot]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    def each(key: str) -> list[Sample]:
        return [({"run": s["run"]}, s[key]) for s in statuses]  # type: ignore[literal-required]  # keys below

    yield "version", "gauge", "Newest version that a live peer has.", each("version")
    yield "committed_version", "gauge", "Last version in the database.", each("committed_version")
    yield "term", "gauge", "Term of the pen.", each("term")
    yield "epoch", "gauge", "First incomplete pass over the data.", each("epoch")
    yield "images_total", "counter", "Images in committed weights.", each("images")
    yield "images_per_second", "gauge", "Speed of all live peers together.", each("images_per_s")
    yield "last_commit_age_seconds", "gauge", "Time since the last commit.", each("last_commit_age_s")
    units = [
        ({"run": s["run"], "state": state}, float(count))
        for s in statuses
        for state, count in s["units"].items()
        if isinstance(count, int)
    ]
    yield "units", "gauge", "Units of the epochs begun.", units
    states = [
        ({"run": s["run"], "state": state}, float(count))
        for s in statuses
        for state, count in sorted(Counter(peer["state"] for peer in s["peers"]).items())
    ]
    yield "peers", "gauge", "Peers by state.", states
    yield from _peer_metrics([(s, peer) for s in statuses for peer in s["peers"]])


def _peer_metrics(
    peers: Sequence[tuple[StatusSnapshot, PeerStatus]],
) -> Iterator[tuple[str, str, str, list[Sample]]]:
    labelled = [({"run": s["run"], "peer": p["id"], "name": p["name"]}, s, p) for s, p in peers]
    yield (
        "peer_leads",
        "gauge",
        "Whether the peer holds the pen.",
        [(labels, float(p["id"] == s["leader"])) for labels, s, p in labelled],
    )
    yield (
        "peer_images_per_second",
        "gauge",
        "Its speed.",
        [(labels, p["images_per_s"]) for labels, _, p in labelled],
    )
    yield (
        "peer_last_seen_seconds",
        "gauge",
        "Time since its last sign.",
        [(labels, p["last_seen_s"]) for labels, _, p in labelled],
    )
    for way in ("sent", "received"):
        told = [(labels, p["traffic"]) for labels, _, p in labelled]
        yield (
            f"peer_round_bytes_{way}",
            "gauge",
            f"Bytes {way} for the last version it contributed to.",
            [(labels, float(took[way])) for labels, took in told if took is not None],
        )
    yield "peer_version", "gauge", "Version it has.", [(labels, p["version"]) for labels, _, p in labelled]
    yield (
        "peer_set_aside",
        "gauge",
        "Whether it gets no work.",
        [(labels, float(bool(p["set_aside"]))) for labels, _, p in labelled],
    )
    yield (
        "peer_offences_total",
        "counter",
        "Things it sent that no peer may send.",
        [(labels, p["offences"]) for labels, _, p in labelled],
    )


def _metric(name: str, kind: str, what: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP p2pgan_{name} {what}"
    yield f"# TYPE p2pgan_{name} {kind}"
    for labels, value in samples:
        inner = ",".join(f'{key}="{_escaped(said)}"' for key, said in labels.items())
        yield f"p2pgan_{name}{'{' + inner + '}' if inner else ''} {value:.10g}"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
