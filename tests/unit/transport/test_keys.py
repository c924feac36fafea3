import os
from pathlib import Path

import pytest

from p2pgan.errors import ConfigError
from p2pgan.transport import load_keys, new_keys
from p2pgan.transport.curve import KEY_FILE


def test_an_identity_is_made_once_and_kept(tmp_path: Path) -> None:
    keys = load_keys(tmp_path / "state")
    assert len(keys.public) == 40
    assert load_keys(tmp_path / "state") == keys
    assert load_keys(tmp_path / "other") != keys


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX idea")
def test_the_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    load_keys(tmp_path)
    path = tmp_path / KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_keys(tmp_path)


@pytest.mark.parametrize("content", ["", "too short", "\x01" * 40, "a" * 41])
def test_a_corrupt_key_file_is_said_to_be_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / KEY_FILE
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(ConfigError, match="corrupt"):
        load_keys(tmp_path)


def test_a_folder_that_cannot_be_made_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot use the key file"):
        load_keys(tmp_path / "file" / "state")


def test_a_secret_key_is_not_shown() -> None:
    keys = new_keys()
    assert keys.secret not in repr(keys)
