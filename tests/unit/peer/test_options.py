from __future__ import annotations

from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.peer.options import JoinOptions, default_state_dir


def test_a_peer_beside_an_embedded_rendezvous_listens_on_loopback_only() -> None:
    assert JoinOptions(rendezvous="embedded:/tmp/here").bind_host == "127.0.0.1"
    assert JoinOptions(rendezvous="postgresql://db.example.org/gan").bind_host == "0.0.0.0"
    assert JoinOptions(rendezvous="embedded:/tmp/here", bind="10.0.0.1").bind_host == "10.0.0.1"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rendezvous": " "}, "rendezvous is empty"),
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"port": 65_535}, "port 65535"),
        ({"threads": 0}, "threads"),
    ],
)
def test_values_that_cannot_be_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        JoinOptions(**{"rendezvous": "postgresql://db/gan", **values})  # type: ignore[arg-type]  # wrong on purpose


def test_each_name_has_a_state_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("P2PGAN_STATE", str(tmp_path))
    assert default_state_dir("ada") == tmp_path / "ada"
    monkeypatch.delenv("P2PGAN_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert default_state_dir("ada") == tmp_path / "xdg" / "p2pgan" / "ada"
    chosen = JoinOptions(rendezvous="postgresql://db/gan", name="ada", state_dir=tmp_path / "own")
    assert chosen.state_folder == tmp_path / "own"
