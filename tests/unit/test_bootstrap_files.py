"""What in bootstrap/ no test can start here is checked as far as its own tools go."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement

from p2pgan.cli.main import app

ROOT = Path(__file__).parents[2]
BOOTSTRAP = ROOT / "bootstrap"
PROGRAM: Any = typer.main.get_command(app)  # typer's own click has no types
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def tool(name: str) -> str:
    """A program that a test package brought, or the system's."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert found is not None, f"{name} is missing: install the extra p2pgan[test]"
    return found


def parses(arguments: list[str]) -> None:
    name, *rest = arguments
    PROGRAM.commands[name].make_context(name, rest)


def flags_by_variable() -> set[str]:
    """The variables that stand for a flag of some command."""
    params = [parameter for command in PROGRAM.commands.values() for parameter in command.params]
    return {parameter.envvar for parameter in params if parameter.envvar}


def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((BOOTSTRAP / "compose.yaml").read_text(encoding="utf-8"))
    return parsed


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_scripts_pass_shellcheck() -> None:
    scripts = [*sorted(BOOTSTRAP.glob("*.sh")), ROOT / ".ci" / "run"]
    ended = subprocess.run(
        [tool("shellcheck"), "-x", *map(str, scripts)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout


def test_the_compose_file_is_one() -> None:
    ended = subprocess.run(
        [
            tool("check-jsonschema"),
            "--builtin-schema",
            "vendor.compose-spec",
            str(BOOTSTRAP / "compose.yaml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


def test_its_services_are_commands_of_the_program_and_wait_for_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = compose()["services"]
    postgres = services.pop("postgres")
    assert "pg_isready" in postgres["healthcheck"]["test"][1]
    assert postgres["volumes"][0].split(":")[0] in compose()["volumes"]
    for service in services.values():
        assert service["depends_on"]["postgres"]["condition"] == "service_healthy"
        assert (BOOTSTRAP / service["build"]["context"] / service["build"]["dockerfile"]).exists()
        assert set(service["environment"]) <= flags_by_variable()
        monkeypatch.setenv("P2PGAN_RENDEZVOUS", service["environment"]["P2PGAN_RENDEZVOUS"])
        parses(service["command"])


def test_the_image_is_made_of_files_that_are_there() -> None:
    text = (BOOTSTRAP / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    admitted = (BOOTSTRAP / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    assert {line[1:] for line in admitted.splitlines() if line.startswith("!")} == set(copied)
    included = {"pyproject.toml", project()["readme"], "p2pgan", "scripts"}
    assert included == set(copied)


def test_the_conda_environment_asks_for_what_the_project_asks_for() -> None:
    wanted = {(r := Requirement(text)).name: str(r.specifier) for text in project()["dependencies"]}
    asked = yaml.safe_load((BOOTSTRAP / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    for text in asked:
        if isinstance(text, str) and ">=" in text:
            name, _, least = text.partition(">=")
            assert wanted[CONDA_NAMES.get(name, name)] == f">={least}", name


def test_the_dev_container_installs_extras_that_there_are() -> None:
    text = (BOOTSTRAP / "devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    extras = re.search(r"\.\[([\w,]+)\]", json.loads(text)["postCreateCommand"])
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project()["optional-dependencies"])


def test_the_unit_is_one_and_calls_the_program_rightly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (BOOTSTRAP / "p2pgan.service").read_text(encoding="utf-8")
    start = re.search(r"^ExecStart=(\S+) (.+)$", text, re.MULTILINE)
    assert start is not None
    variables = dict(re.findall(r"\b(P2PGAN_\w+)=(\S+)", text))
    assert variables.keys() <= flags_by_variable() | {"P2PGAN_STATE", "P2PGAN_CACHE"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    parses(start[2].replace("%H", "host").split())
    if (verify := shutil.which("systemd-analyze")) is None:
        pytest.skip("there is no systemd-analyze here")
    unit = tmp_path / "p2pgan.service"
    unit.write_text(text.replace(start[1], shutil.which("true") or "/bin/true"))
    ended = subprocess.run([verify, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "p2pgan.service" not in ended.stdout + ended.stderr


def test_slurm_starts_a_peer_with_a_folder_of_its_own_for_each_task(tmp_path: Path) -> None:
    programs, environment = tmp_path / "programs", tmp_path / "venv" / "bin"
    programs.mkdir()
    environment.mkdir(parents=True)
    # A stand-in for srun: two tasks, one after the other.
    scripts = {
        programs / "srun": 'shift\nfor n in 0 1; do SLURM_PROCID=$n "$@"; done',
        environment / "p2pgan": 'echo "$P2PGAN_STATE $P2PGAN_THREADS $*"',
    }
    for path, text in scripts.items():
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    call = ["bash", str(BOOTSTRAP / "slurm.sh"), "--dataset", "zip:my faces.zip"]
    surroundings = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "P2PGAN_VENV": str(tmp_path / "venv"),
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "4",
        "TMPDIR": "/scratch",
    }
    refused = subprocess.run(call, env=surroundings, capture_output=True, text=True, check=False)
    assert refused.returncode != 0 and "p2pgan invite" in refused.stderr
    said = subprocess.run(
        call, env={**surroundings, "P2PGAN_RENDEZVOUS": "dsn"}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split()[0] for line in said] == ["/scratch/p2pgan-7-0", "/scratch/p2pgan-7-1"]
    for number, line in enumerate(said):
        assert " 4 join --name " in line
        assert line.endswith(f"-7-{number} --dataset zip:my faces.zip")
