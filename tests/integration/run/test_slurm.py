"""`bootstrap/slurm.sh` with real peers; in place of Slurm, a program that starts two tasks as `srun` does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pgan.rendezvous import EmbeddedPostgres
from tests.integration.run.processes import DEADLINE_S, environment
from tests.integration.run.swarm import Swarm

SCRIPT = Path(__file__).parents[3] / "bootstrap" / "slurm.sh"
SRUN = """#!/usr/bin/env bash
# srun [OPTION] COMMAND...: the command as two tasks; a signal is theirs as well.
shift
tasks=()
trap 'kill -TERM "${tasks[@]}"' TERM
for number in 0 1; do
    SLURM_PROCID=$number "$@" &
    tasks+=("$!")
done
worst=0
for task in "${tasks[@]}"; do
    status=0
    while kill -0 "$task" 2>/dev/null; do
        status=0
        wait "$task" || status=$?
    done
    ((status <= worst)) || worst=$status
done
exit "$worst"
"""


@pytest.fixture
def swarm(postgres: EmbeddedPostgres, swarms: Callable[[EmbeddedPostgres], Swarm]) -> Swarm:
    made = swarms(postgres)
    made.create()
    made.start("ada")
    return made


@pytest.fixture
def job(swarm: Swarm, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A job of two tasks that join the run."""
    programs, folder = tmp_path / "programs", tmp_path / "venv" / "bin"
    for path, text in (
        (programs / "srun", SRUN),
        (folder / "p2pgan", f'#!/bin/sh\nexec "{sys.executable}" -m p2pgan "$@"\n'),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(0o755)
    surroundings = environment(swarm.dsn) | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "P2PGAN_VENV": str(folder.parent),
        "TMPDIR": str(tmp_path),
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "1",
    }
    flags = ("--run", swarm.run, "--bind", "127.0.0.1", "--advertise", "127.0.0.1")
    with (
        (tmp_path / "job.log").open("wb") as log,
        subprocess.Popen(
            ["bash", str(SCRIPT), *flags], env=surroundings, stdout=log, stderr=log, start_new_session=True
        ) as started,
    ):
        yield started
        if started.poll() is None:
            os.killpg(started.pid, 9)


def test_the_tasks_of_a_job_are_peers_and_leave_in_order_when_its_time_is_over(
    swarm: Swarm, job: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    here = subprocess.run(["hostname", "-s"], capture_output=True, text=True, check=True).stdout.strip()
    tasks = {f"{here}-7-{number}" for number in (0, 1)}
    swarm.in_one_version("ada", *tasks)
    assert {path.name for path in tmp_path.glob("p2pgan-7-*")} == {"p2pgan-7-0", "p2pgan-7-1"}
    job.terminate()
    assert job.wait(DEADLINE_S) == 0, (tmp_path / "job.log").read_text()
    states = {peer["name"]: peer["state"] for peer in swarm.status()["peers"]}
    assert {states[task] for task in tasks} == {"left"}
    assert swarm.problems() == []
