"""Names of repositories, and a machine without the hub's library."""

from __future__ import annotations

import sys

import pytest

from p2pgan.errors import ConfigError
from p2pgan.gan.published import check_repo, is_published, local_file, upload


def test_a_repository_is_a_user_and_a_name() -> None:
    assert is_published("hf:ann/faces") and not is_published("faces.safetensors")
    assert check_repo("ann/faces-2.1") == "ann/faces-2.1"


@pytest.mark.parametrize(
    "repo", ["", "faces", "a/b/c", "../faces", "ann/..", "ann/a--b", "ann/\n", "a/b?x=y"]
)
def test_what_is_none_is_refused(repo: str) -> None:
    with pytest.raises(ConfigError, match="is no repository of the hub; write USER/NAME"):
        check_repo(repo)


def test_without_the_library_the_line_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", None)
    with pytest.raises(ConfigError, match=r"pip install 'p2pgan\[hub\]'"):
        local_file("hf:ann/faces")
    with pytest.raises(ConfigError, match=r"pip install 'p2pgan\[hub\]'"):
        upload("ann/faces", {}, False, "")
