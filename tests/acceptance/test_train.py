"""Training alone, as a user calls it: stopped, killed, and into a folder that is in use."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from p2pgan import load_generator

COMMAND = [sys.executable, "-m", "p2pgan", "train", "--set", "gan.model.width=8", "--threads", "1"]


def _begun(out: Path) -> subprocess.Popen[str]:
    """A training that has done its first unit and would go on for hours."""
    training = subprocess.Popen(
        [*COMMAND, "--epochs", "100000", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert training.stdout is not None
    try:
        line = training.stdout.readline()
        if "memory that a step frees is kept" in line:  # where glibc is
            line = training.stdout.readline()
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d unit      unit 1 done: .*, D\(x\) [01].\d\d D\(G\(z\)\) .* images/s\n", line
        )
    except BaseException:
        training.kill()
        raise
    return training


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_training_that_is_asked_to_end_keeps_what_it_learned(
    tmp_path: Path, number: signal.Signals
) -> None:
    training = _begun(tmp_path / "out")
    training.send_signal(number)
    try:
        said, errors = training.communicate(timeout=120)
    finally:
        training.kill()
    assert training.returncode == 0, errors
    assert errors == ""
    last = said.splitlines()[-1]
    assert last.startswith("stopped after ")
    assert re.search(r"kept: weights in .*, samples in .*samples-\d+\.png, losses in ", last)
    seen = load_generator(tmp_path / "out" / "generator.safetensors")
    assert seen.sample(1).shape == (1, 3, 32, 32)
    assert len(list((tmp_path / "out").glob("samples-*.png"))) >= 1
    assert len((tmp_path / "out" / "losses.csv").read_text().splitlines()) >= 2


def test_a_training_that_is_killed_leaves_weights(tmp_path: Path) -> None:
    training = _begun(tmp_path)
    assert training.stdout is not None
    training.stdout.readline()  # the second unit: the first one's weights are saved
    training.kill()
    training.communicate(timeout=120)
    assert load_generator(tmp_path / "generator.safetensors").sample(1).shape == (1, 3, 32, 32)
    assert len((tmp_path / "losses.csv").read_text().splitlines()) >= 3


def test_a_used_folder_is_refused_and_kept_unless_it_is_to_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "losses.csv").write_text("earlier")
    command = [*COMMAND, "--epochs", "1", "--out", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "losses.csv").read_text() == "earlier"
    done = subprocess.run([*command, "--overwrite"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "losses.csv").read_text().startswith("images_seen,")
