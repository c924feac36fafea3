"""The notebooks as a reader runs them, from the first cell to the last, with short runs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer
from nbclient import NotebookClient
from PIL import Image

from p2pgan.cli.main import app

ROOT = Path(__file__).parents[3]
SMALL = ("--set", "gan.model.width=8", "--set", "sync.round_seconds=1", "--set", "commit_seconds=1")

# The kernel is a process of its own, and zmq's asyncio classes complain of pytest's loops being closed.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the notebook's own, that no settings of the user reach."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("P2PGAN_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path


def execute(path: Path, folder: Path, **parameters: object) -> str:
    """Runs a notebook with other values for what its cell of parameters sets; all that it printed."""
    notebook = nbformat.read(path, as_version=4)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    known = {line.partition(" = ")[0] for line in cell.source.splitlines()}
    assert set(parameters) <= known
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.get("text", "") for output in outputs)


@pytest.fixture
def class_dsn(surroundings: Path) -> Iterator[str]:
    """A class with a leader, whose run ends with its third version."""
    dsn = f"embedded:{surroundings / 'class'}"
    goal = ("--set", "goal.versions=3")
    command = [sys.executable, "-m", "p2pgan", "lead", "--no-train", "--name", "teacher", *SMALL, *goal]
    log = surroundings / "teacher.log"
    with (
        log.open("w") as out,
        subprocess.Popen([*command, "--rendezvous", dsn], stdout=out, stderr=subprocess.STDOUT) as leader,
    ):
        try:
            yield dsn
            # The goal was reached by whoever joined; a leader that is left over waits for others for ever.
            assert leader.wait(60) == 0, log.read_text()
        finally:
            leader.kill()


def test_a_class_is_joined_and_a_lab_runs_in_a_notebook(surroundings: Path, class_dsn: str) -> None:
    said = execute(
        ROOT / "bootstrap" / "colab.ipynb",
        surroundings,
        DSN=class_dsn,
        PEERS=1,
        MINUTES=5.0,
        SETTINGS=["--versions", "2", *SMALL],
    )
    assert "version 3" in said  # of the class's run: the lab's ends with its second
    assert Image.open(surroundings / "mine.png").size == (270, 270)


def test_faces_walks_and_a_favourite(surroundings: Path) -> None:
    execute(ROOT / "docs" / "notebooks" / "demo.ipynb", surroundings, EPOCHS=0.3)
    assert Image.open(surroundings / "favourite.png").size == (32, 32)


def test_what_the_notebook_suggests_to_say_are_flags() -> None:
    notebook = nbformat.read(ROOT / "bootstrap" / "colab.ipynb", as_version=4)
    source = next(cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    suggested = dict(re.findall(r"^(\w+) = \[\]  # .* such as (\[.*\])$", source, re.MULTILINE))
    program: Any = typer.main.get_command(app)  # typer's own click has no types
    program.commands["join"].make_context(
        "join", ["--rendezvous", "embedded:x", *ast.literal_eval(suggested["JOIN"])]
    )
    program.commands["lab"].make_context("lab", ast.literal_eval(suggested["SETTINGS"]))


@pytest.mark.parametrize("path", ["bootstrap/colab.ipynb", "docs/notebooks/demo.ipynb"])
def test_a_notebook_is_kept_without_outputs_and_with_nothing_filled_in(path: str) -> None:
    notebook = nbformat.read(ROOT / path, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
