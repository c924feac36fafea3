"""The script that a stranger calls first, with a program in place of p2pgan that says what it was told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_paths_given_to_the_lab_are_those_of_the_caller(tmp_path: Path) -> None:
    programs, caller = tmp_path / "venv" / "bin", tmp_path / "my folder"
    programs.mkdir(parents=True)
    caller.mkdir()
    for name, text in (("pip", ""), ("p2pgan", 'printf "%s\\n" "$PWD" "$@"')):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    with (ROOT / "pyproject.toml").open() as project:
        stamp = subprocess.run(["cksum"], stdin=project, capture_output=True, text=True, check=True).stdout
    (tmp_path / "venv" / "p2pgan-installed").write_text(f" {stamp.strip()}")
    said = subprocess.run(
        ["bash", str(ROOT / "bootstrap" / "lab.sh"), "--out", "a b"],
        cwd=caller,
        env={**os.environ, "P2PGAN_VENV": str(tmp_path / "venv")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.splitlines() == [str(caller), "lab", "--out", "a b"]
