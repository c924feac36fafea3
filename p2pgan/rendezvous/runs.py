"""Calls about runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from p2pgan.errors import InternalError, RunError, Trouble
from p2pgan.protocol.ids import Digest, PeerId, SnapshotManifest
from p2pgan.rendezvous.calls import Calls
from p2pgan.rendezvous.rows import Dataset, RunRow
from p2pgan.rendezvous.translation import SOON, NoRun

KEEP_LAST = 3
MILESTONE_EVERY = 50


class RunCalls(Calls):
    """Creating, finding and finishing runs."""

    def create_run(
        self,
        name: str,
        config: Mapping[str, object],
        dataset: Dataset,
        schema_hash: Digest,
        unit_images: int,
        seed_manifest: SnapshotManifest,
        chunks: Iterable[tuple[Digest, bytes | memoryview]],
        keep_last: int = KEEP_LAST,
        milestone_every: int = MILESTONE_EVERY,
    ) -> RunRow:
        """Create a run whose version 0 has the given weights.

        The bytes of the last ``keep_last`` stored snapshots are kept, and of every
        ``milestone_every``-th one for good.

        Raises:
            RunError: a run of that name exists.
        """
        if seed_manifest.version != 0:
            raise InternalError(f"a run begins with version 0, not {seed_manifest.version}")
        row = {
            "name": name,
            "config": Jsonb(dict(config)),
            "count": dataset["count"],
            "resolution": dataset["resolution"],
            "dataset_digest": dataset["digest"],
            "schema_hash": schema_hash,
            "unit_images": unit_images,
            "keep_last": keep_last,
            "milestone_every": milestone_every,
            "digest": seed_manifest.digest,
        }
        with self._line.transaction() as session:
            try:
                run_id = cast(int, session.value("create_run", row))
            except psycopg.errors.UniqueViolation as error:
                raise RunError(
                    f"a run named {name} exists already: resume it, or choose another name"
                ) from error
            session.run("create_lease", {"run_id": run_id})
            for digest, data in chunks:
                session.run("store_seed_chunk", {"run_id": run_id, "digest": digest, "data": data})
            session.run(
                "store_seed",
                {
                    "run_id": run_id,
                    "digest": seed_manifest.digest,
                    "length": seed_manifest.length,
                    "chunks": list(seed_manifest.chunks),
                },
            )
        return self.find_run(name)

    def list_runs(self) -> tuple[RunRow, ...]:
        """All runs, oldest first."""
        with self._line.call() as session:
            return tuple(session.rows("list_runs", {}, class_row(RunRow)))

    def find_run(self, name: str | None) -> RunRow:
        """The run of that name; without a name the only active one, or else the only one there is.

        A finished run is found too: its state says so.

        Raises:
            RunError: there is none, or the choice is not clear.
        """
        runs = self.list_runs()
        named = [run for run in runs if run.name == name]
        if named:
            return named[0]
        names = ", ".join(run.name for run in runs)
        if not runs:
            text = f"no run at {self._line.place} yet: `p2pgan lead` creates one; {SOON}"
            raise NoRun(text, Trouble.NOT_STARTED)
        if name is not None:
            raise RunError(f"no run named {name}: there is {names}")
        active = [run for run in runs if run.state == "active"]
        candidates = active or runs
        if len(candidates) > 1:
            kind = "active" if active else "finished"
            names = ", ".join(run.name for run in candidates)
            raise RunError(f"{len(candidates)} {kind} runs: choose one with --run: {names}")
        return candidates[0]

    def finish_run(self, run_id: int, peer: PeerId, term: int) -> bool:
        """Mark the run finished, as its leader; False if the pen is not held in this term any more."""
        with self._line.call() as session:
            return cast(bool, session.value("finish_run", {"run_id": run_id, "peer": peer, "term": term}))
