"""A run whose leader scores what it commits, and keeps the best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.processes import start_command
from tests.integration.run.swarm import SMALL, Swarm


def test_versions_are_scored_while_training_goes_on(
    postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm], tmp_path: Path
) -> None:
    swarm = swarms(postgres)
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({**SMALL, "score_images": 64}))
    swarm.database.migrate()
    arguments = ["--config", str(config), "--dataset", "digits", "--score-every", "3"]
    swarm.start("ada", command="lead", arguments=arguments)
    swarm.until(lambda: [r for r in swarm.database.list_runs() if r.name == swarm.run], "the run")
    swarm.until(lambda: len(swarm.status()["scores"]) >= 2, "two scores")
    swarm.end()

    status = swarm.status()
    scored = {score["version"]: score["fid"] for score in status["scores"]}
    thirds = [version // 3 for version in scored]
    assert len(set(thirds)) == len(thirds) and min(thirds) > 0
    best = status["best_version"]
    assert best is not None and scored[best] == min(scored.values())
    assert best in {v.version for v in swarm.database.newest_versions(swarm.run_id, 999) if v.stored}
    grid = tmp_path / "best.png"
    command = start_command(
        swarm.dsn, "generate", "--run", swarm.run, "--version", "best", "-n", "4", "--out", str(grid)
    )
    said, complaint = command.communicate(timeout=120)
    assert command.returncode == 0, complaint
    assert f"version {best} of {swarm.run}" in said
