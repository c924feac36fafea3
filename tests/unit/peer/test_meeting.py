from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from p2pgan.errors import ConfigError, DatasetError, P2pganError, RunError
from p2pgan.peer import meeting
from p2pgan.peer.config import run_config
from p2pgan.peer.log import Log
from p2pgan.peer.options import JoinOptions, LeadOptions
from p2pgan.rendezvous.translation import NoCluster, NoRun, NoSchema

OPTIONS = JoinOptions(rendezvous="embedded:class", name="ada")


class Place:
    """A rendezvous that lacks what ``missing`` names, first of all its cluster; ``sleep`` makes the next."""

    def __init__(self, *missing: P2pganError) -> None:
        self.missing = list(missing)
        self.entered = self.left = self.slept = 0

    def _lacks(self, kind: type[P2pganError]) -> None:
        if self.missing and isinstance(self.missing[0], kind):
            raise self.missing[0]

    def open(self, _place: str) -> Place:
        self._lacks(NoCluster)
        return self

    def check_schema(self) -> None:
        self._lacks(NoSchema)

    def find_run(self, _name: str | None) -> SimpleNamespace:
        self._lacks(RunError)
        config = run_config({}).model_dump(mode="json")
        return SimpleNamespace(name="gan", state="active", config=config)

    def sleep(self, _seconds: float) -> None:
        self.slept += 1
        if self.slept % 3 == 0:
            self.missing.pop(0)

    def __enter__(self) -> Place:
        self.entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.left += 1


Opens = Callable[[Place], Place]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Opens:
    def opens(place: Place) -> Place:
        monkeypatch.setattr(meeting, "open_rendezvous", place.open)
        return place

    return opens


def test_a_joiner_waits_for_all_that_the_leader_makes(at: Opens, capsys: pytest.CaptureFixture[str]) -> None:
    place = at(Place(NoCluster("no cluster"), NoSchema("no schema"), NoRun("no run")))
    with meeting.to_join(OPTIONS, Log("lines"), place.sleep) as found:
        assert found.run is not None
        assert found.run.name == "gan"
        assert (place.slept, place.entered, place.left) == (9, 1, 0)
    assert place.left == 1
    lines = capsys.readouterr().out.splitlines()
    # Whoever finds tables missing, and then the run, is told once.
    assert [line.partition("waiting for the leader to make ")[2] for line in lines] == [
        "the embedded Postgres, up to 60 s",
        "its tables, up to 60 s",
    ]


@pytest.mark.parametrize("error", [NoCluster("none"), NoSchema("none"), NoRun("none")], ids=repr)
def test_patience_ends(error: P2pganError, at: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "PATIENCE_S", 0)
    place = at(Place(error))
    with pytest.raises(type(error), match="none"), meeting.to_join(OPTIONS, Log("lines"), place.sleep):
        pass
    assert (place.slept, place.entered) == (0, place.left)
    assert error.exit_code == 2


def test_ctrl_c_ends_the_wait(at: Opens) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    place = at(Place(NoRun("none")))
    with pytest.raises(KeyboardInterrupt), meeting.to_join(OPTIONS, Log("lines"), interrupt):
        pass
    assert place.left == 1


def test_another_name_is_no_reason_to_wait(at: Opens) -> None:
    place = at(Place(RunError("no run named dogs: there is gan")))
    with pytest.raises(RunError, match="dogs"), meeting.to_join(OPTIONS, Log("lines"), place.sleep):
        pass
    assert (place.slept, place.left) == (0, 1)


def test_a_folder_in_no_folder_is_refused_at_once(tmp_path: Path) -> None:
    options = JoinOptions(rendezvous=f"embedded:{tmp_path}/none/class", name="ada")

    def sleep(_seconds: float) -> None:
        raise AssertionError("it waited")

    with (
        pytest.raises(ConfigError, match="nor the folder around it"),
        meeting.to_join(options, Log("lines"), sleep),
    ):
        pass


def test_images_that_are_none_are_told_before_torch_is_loaded(at: Opens, tmp_path: Path) -> None:
    place = at(Place())
    for spec in ("faces.zip", "folder:", f"zip:{tmp_path}/none.zip"):
        options = JoinOptions(rendezvous="embedded:class", name="ada", dataset=spec)
        with pytest.raises(DatasetError), meeting.to_join(options, Log("lines"), place.sleep):
            pass
    assert place.entered == place.left == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["join", "--rendezvous", "class"],
        ["join", "--rendezvous", "postgresql://127.0.0.1:1/gan"],
        ["join", "--rendezvous", "embedded:/does/not/exist"],
        ["lead", "--rendezvous", "embedded:x", "--set", "width=64"],
    ],
    ids=" ".join,
)
def test_what_is_mistyped_is_told_before_torch_is_loaded(arguments: list[str]) -> None:
    code = "import sys, p2pgan.cli.main as m; print(m.run(sys.argv[1:])); sys.exit('torch' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] in ("1", "2")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("spec", ["zip:missing.zip", "folder:" + "a" * 5000, "nothing"])
@pytest.mark.parametrize("by_flag", [True, False])
def test_no_cluster_is_made_for_a_data_set_that_is_not_there(
    tmp_path: Path, spec: str, by_flag: bool
) -> None:
    cluster = tmp_path / "cluster"
    options = LeadOptions(
        rendezvous=f"embedded:{cluster}",
        name="ada",
        dataset=spec if by_flag else None,
        requested={} if by_flag else {"dataset": spec},
    )
    with pytest.raises(DatasetError), meeting.to_lead(options):
        raise AssertionError("it went on")
    assert not cluster.exists()
