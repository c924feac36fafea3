"""Measures how long the dashboard's answers take over a run with a long history, as a table.

The history is written into an embedded Postgres of its own, which is gone afterwards.

Example: python -m scripts.measure_dashboard --peers 200 --versions 100000
"""

from __future__ import annotations

import argparse
import http.client
import io
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psycopg
from blake3 import blake3
from PIL import Image

from p2pgan.dashboard.server import Dashboard
from p2pgan.dashboard.source import FRESH_S
from p2pgan.protocol.ids import SnapshotManifest
from p2pgan.rendezvous import EmbeddedPostgres, Rendezvous

HISTORY = Path(__file__).with_name("long_history.sql")
TELLING = 6
"""Peers that told in every version: as many as the page draws at the same time."""
NOTES = 20
"""Events between two changes of the leader."""
IMAGES, UNIT = 20_000, 1000
DRAWN = "&".join(f"peer=p{n}" for n in range(1, TELLING + 1))
ADDRESSES = {
    "status": "/api/status",
    "first view of a stream": "/api/runs/{run}/stream",
    "curves, whole run": "/api/runs/{run}/curves?points=600",
    f"curves, with {TELLING} peers": "/api/runs/{run}/curves?points=600&" + DRAWN,
    "curves, 1,000 versions": "/api/runs/{run}/curves?points=600&first={late}",
    "versions with samples": "/api/runs/{run}/samples",
    "units of the epoch": "/api/runs/{run}/units?epoch={epoch}",
    "events": "/api/runs/{run}/events",
    "events with a word nobody said": "/api/runs/{run}/events?words=xyzzy",
    "events of a peer": "/api/runs/{run}/events?peer=p2",
    "facts of a peer": "/api/runs/{run}/peer?id=p1",
    "list of runs": "/api/runs",
    "metrics": "/metrics",
}


def write_history(dsn: str, peers: int, versions: int, notes: int = NOTES) -> int:
    """A run of so many ``peers`` that has come to version ``versions``; its number.

    Between two changes of the leader ``notes`` events were written. Sample grids are black and white.
    """
    with Rendezvous(dsn) as rendezvous:
        rendezvous.migrate()
        seed = b"seed"
        digest = blake3(seed).hexdigest()
        run = rendezvous.create_run(
            name=f"{peers} peers, {versions} versions",
            config={"dataset": "written"},
            dataset={"count": IMAGES, "resolution": 32, "digest": digest},
            schema_hash=digest,
            unit_images=UNIT,
            seed_manifest=SnapshotManifest(0, digest, digest, 0, len(seed), (digest,)),
            chunks=[(digest, seed)],
        ).id
    values = {"run": run, "peers": peers, "versions": versions, "telling": TELLING, "notes": notes}
    pictures = {"even": _picture(255), "odd": _picture(0)}
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as admin:
        admin.execute(HISTORY.read_bytes(), values | pictures)
    return run


def _picture(grey: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (270, 270), grey).save(file, "png")
    return file.getvalue()


def ask(page: Dashboard, path: str) -> tuple[float, int]:
    """Seconds and bytes of an answer; of a stream, of its first view."""
    address = urlsplit(page.url)
    line = http.client.HTTPConnection(address.hostname or "", address.port, timeout=600)
    try:
        began = time.perf_counter()
        line.request("GET", path)
        with line.getresponse() as answer:
            if answer.status != http.client.OK:
                raise SystemExit(f"{path} is answered with {answer.status}")
            if path.endswith("stream"):
                while not answer.readline().startswith(b"event: view"):
                    pass
                size = len(answer.readline())
            else:
                size = len(answer.read())
        return time.perf_counter() - began, size
    finally:
        line.close()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=int, default=200)
    parser.add_argument("--versions", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=5, help="How often each is asked.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="p2pgan-measure-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres") as postgres:
            run = write_history(postgres.dsn, chosen.peers, chosen.versions)
            parts = {"run": run, "late": chosen.versions - 1000, "epoch": chosen.versions // 2}
            with Dashboard(postgres.dsn, port=0) as page:
                rounds = []
                for _ in range(chosen.times):
                    rounds.append([ask(page, path.format(**parts)) for path in ADDRESSES.values()])
                    time.sleep(FRESH_S + 0.1)  # an answer serves everybody who asks the same for so long
    print("| what is asked | median ms | slowest ms | kB |", "|---|---|---|---|", sep="\n")
    for name, answers in zip(ADDRESSES, zip(*rounds, strict=True), strict=True):
        took = [1000 * seconds for seconds, _ in answers]
        print(f"| {name} | {median(took):.0f} | {max(took):.0f} | {answers[-1][1] / 1000:.1f} |")


if __name__ == "__main__":
    main()
