from __future__ import annotations

from typing import cast

from p2pgan.dashboard.prometheus import exposition
from p2pgan.rendezvous import StatusSnapshot

PEER = {
    "id": "K",
    "name": 'a "quoted" \\ name\nwith a line',
    "state": "active",
    "device": "cpu",
    "images_per_s": 12.5,
    "last_seen_s": 1.0,
    "version": 7,
    "digest": "d",
    "set_aside": "",
    "offences": 2,
    "spans": 1,
    "reached": True,
    "signals": None,
    "traffic": {"version": 7, "sent": 2_000_000, "received": 1_500_000},
}
STATUS = {
    "run": "faces",
    "version": 7,
    "committed_version": 6,
    "digest": "d",
    "term": 3,
    "leader": "K",
    "epoch": 0,
    "images": 123_456_789,
    "images_per_s": 12.5,
    "last_commit_age_s": 4.0,
    "units": {"open": 1, "leased": 2, "done": 3},
    "peers": [PEER],
    "signals": None,
    "traffic": None,
    "best_version": None,
    "scores": [],
}


def test_a_status_becomes_samples_with_labels() -> None:
    lines = exposition([cast(StatusSnapshot, STATUS)]).splitlines()
    label = r'{run="faces",peer="K",name="a \"quoted\" \\ name\nwith a line"}'
    assert "p2pgan_up 1" in lines
    assert 'p2pgan_images_total{run="faces"} 123456789' in lines
    assert 'p2pgan_units{run="faces",state="leased"} 2' in lines
    assert 'p2pgan_peers{run="faces",state="active"} 1' in lines
    assert f"p2pgan_peer_leads{label} 1" in lines
    assert f"p2pgan_peer_round_bytes_sent{label} 2000000" in lines
    assert f"p2pgan_peer_round_bytes_received{label} 1500000" in lines
    assert f"p2pgan_peer_offences_total{label} 2" in lines
    assert all(line.startswith(("# HELP p2pgan_", "# TYPE p2pgan_", "p2pgan_")) for line in lines)


def test_a_database_that_is_away_is_told() -> None:
    assert "p2pgan_up 0" in exposition(None).splitlines()
