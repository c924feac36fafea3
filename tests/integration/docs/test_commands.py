"""The commands in the documents, run as they stand against one small class with its own Postgres.

The class has two peers, ``ada`` and ``bob``, who left after some versions. Servers that a document makes up
are this class; where somebody leads, it is an empty one. Trainings in blocks that say so tell what they
would do.
"""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2pgan.cli.main import run
from p2pgan.rendezvous import EmbeddedPostgres, Rendezvous
from tests.documented import DRY_RUN, NOT_RUN, PAGES, TRAININGS, Command, commands, files
from tests.integration.run.processes import until

pytestmark = pytest.mark.timeout(1200)
"""The class comes before the first page, and two peers may share their core with others."""

CLASS, EMPTY = "embedded:class", "embedded:empty"
VERSIONS = 4
PATIENCE_S = 240.0
SMALL = {
    "gan.model.width": 8,
    "gan.microbatch": 16,
    "unit_images": 32,
    "sync.round_seconds": 1,
    "score_every": 2,
    "score_images": 16,
}


def draw_faces(archive: Path) -> None:
    """What the documents call ``faces.zip``: images of noise, in two folders."""
    chance = np.random.default_rng(1)
    with zipfile.ZipFile(archive, "w") as zipped:
        for number in range(96):
            png = io.BytesIO()
            Image.fromarray(chance.integers(0, 256, (32, 32, 3), np.uint8)).save(png, "PNG")
            zipped.writestr(f"{number % 2}/{number:03d}.png", png.getvalue())


def hold_class(database: Rendezvous) -> None:
    """Two peers train until there are some versions, and leave."""
    settings = [f"--set={key}={value}" for key, value in SMALL.items()]
    with ExitStack() as stack:
        peers: list[subprocess.Popen[bytes]] = []

        def start(*words: str) -> None:
            log = stack.enter_context(Path(f"{words[-1]}.log").open("w"))
            machine = ("--rendezvous", CLASS, "--dataset", "zip:faces.zip", "--threads", "1")
            command = [sys.executable, "-m", "p2pgan", words[0], *machine, *words[1:]]
            peers.append(stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log)))
            stack.callback(peers[-1].kill)

        def alive(look: Callable[[], bool]) -> bool:
            assert all(peer.poll() is None for peer in peers), logs()
            return look()

        start("lead", *settings, "--name", "ada")
        until(lambda: alive(lambda: bool(database.list_runs())), "the class has its run", PATIENCE_S)
        start("join", "--name", "bob")
        until(lambda: alive(lambda: _has_all(database)), "the class has its versions", PATIENCE_S)
        for peer in reversed(peers):
            peer.send_signal(signal.SIGINT)
            assert peer.wait(PATIENCE_S) == 0, logs()


def _has_all(database: Rendezvous) -> bool:
    """Whether both have taken part, and one of the versions was scored."""
    status = database.status(database.find_run(None).id)
    enough = status["committed_version"] >= VERSIONS and status["best_version"] is not None
    return enough and {peer["name"] for peer in status["peers"] if peer["version"]} == {"ada", "bob"}


def logs() -> str:
    return "".join(path.read_text() for path in sorted(Path().glob("*.log")))


@pytest.fixture(scope="module")
def classroom() -> Iterator[Path]:
    """The folder that the commands are given in, with the files that they name."""
    # Not in pytest's own folder: that one is closed to the account Postgres runs under.
    folder = Path(tempfile.mkdtemp(prefix="p2pgan-test-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        patch.setenv("P2PGAN_NAME", "ada")
        patch.setenv("P2PGAN_RENDEZVOUS", CLASS)
        for name in ("XDG_STATE_HOME", "P2PGAN_STATE"):
            patch.delenv(name, raising=False)
        draw_faces(folder / "faces.zip")
        # It stays up for all pages.
        with EmbeddedPostgres(Path(CLASS.partition(":")[2])) as postgres:
            with Rendezvous(postgres.dsn) as database:
                database.migrate()
                hold_class(database)
            for name in ("faces", "digits"):
                succeeds("export", "--out", f"{name}.safetensors")
            of_faces = ("--weights", "faces.safetensors", "--dataset", "zip:faces.zip", "-n", "16", "--json")
            (folder / "scores.json").write_text(succeeds("score", *of_faces))
            succeeds("invite", "class")
            yield folder
    shutil.rmtree(folder)


def succeeds(*arguments: str) -> str:
    """What a command printed that must end well."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    assert code == 0, f"p2pgan {' '.join(arguments)} ended with {code}: {err.getvalue()}{out.getvalue()}"
    return out.getvalue()


def as_run(command: Command, folder: Path) -> list[str]:
    """The arguments with this class in the place of made-up servers, and ``--dry-run`` where it is said."""
    arguments = command.of_program
    assert arguments is not None, "a test of the documents lets nothing else pass"
    name = arguments[0]
    place = EMPTY if name == "lead" else CLASS
    words = [
        place
        if before == "--rendezvous"
        else word.replace("~", str(folder))
        if word.startswith("~/")
        else word
        for before, word in zip(["", *arguments], arguments, strict=False)
    ]
    return [*words, "--dry-run"] if command.how == DRY_RUN and name in TRAININGS else words


def give(words: list[str], folder: Path) -> None:
    """Runs a command. A training that only told what it would do leaves the weights of the class."""
    trains = words[0] == "train" and "--out" in words
    out = folder / words[words.index("--out") + 1] if trains else None
    if out is not None:
        shutil.rmtree(out, ignore_errors=True)
    succeeds(*words)
    if out is not None:
        out.mkdir()
        shutil.copy(folder / "faces.safetensors", out / "generator.safetensors")


TRIED = {page: found for page in PAGES if (found := [c for c in commands(page) if c.how != NOT_RUN])}


@pytest.mark.parametrize("page", TRIED, ids=lambda page: page.name)
def test_the_commands_of_a_page(page: Path, classroom: Path) -> None:
    for name, text in files(page):
        (classroom / name).write_text(text)
    for command in TRIED[page]:
        give(as_run(command, classroom), classroom)
