"""Code of somebody's own: a name in a Python file of this machine, ``path/to/file.py:NAME``.

The file is code and is run, so it comes only from what somebody at this machine wrote on the command
line or passed to a function. What travels, in a run's configuration or a weights file, is the name
``NAME@DIGEST``: it says which file is needed, and nothing is ever loaded because of it.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import ConfigError
from p2pgan.gan.config import names_a_file
from p2pgan.protocol.texts import shortened

DIGEST_SHOWN = 12

Code = TypeVar("Code")


class OwnCode(Generic[Code]):
    """What was loaded of one kind, by its name and its file's digest."""

    def __init__(self, kind: str, what: str, flag: str, checked: Callable[[object, Path, str], Code]) -> None:
        """``kind`` and ``what`` are for people, as in "the net ... is a class"; ``flag`` names the file.

        ``checked`` gets what the file defines, the file and the name; it raises ConfigError for what
        would fail later, far from the line that is wrong.
        """
        self._kind, self._what, self._flag, self._checked = kind, what, flag, checked
        self._known: dict[str, Code] = {}

    def use(self, spec: str) -> str:
        """Loads what ``path/to/file.py:NAME`` names, and returns ``NAME@DIGEST``.

        Raises ConfigError: no such file or name in it, it cannot be run, or is not what it should be.
        """
        place, called = self._parts(spec)
        try:
            code = place.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"the {self._kind}'s file {place} cannot be read: {error.strerror}; check {self._flag}"
            ) from error
        name = f"{called}@{blob_digest(code)}"
        if name not in self._known:
            self._known[name] = self._checked(_load(place, code, called, self._what), place, called)
        return name

    def keep(self, code: Code) -> str:
        """Takes what this process has already, such as a function; its name, as ``use`` gives one.

        What has no file of its own, as in a notebook, goes by what it is called alone.
        """
        called = str(getattr(code, "__name__", self._kind))
        name = f"{called if called.isidentifier() else self._kind}@{blob_digest(_file_of(code))}"
        self._known[name] = code
        return name

    def find(self, name: str) -> Code:
        """What a run or a weights file calls ``NAME@DIGEST``.

        Raises ConfigError if its file was not given on this machine, or is another one.
        """
        if name in self._known:
            return self._known[name]
        called, _, digest = name.partition("@")
        others = [known for known in self._known if known.partition("@")[0] == called]
        if others:
            given = others[-1].partition("@")[2]
            raise ConfigError(
                f"the {self._kind} {called} is of a file with digest {digest[:DIGEST_SHOWN]}, but the file "
                f"given here has {given[:DIGEST_SHOWN]}; ask the run's starter for the same file"
            )
        raise ConfigError(
            f"the {self._kind} {called} is somebody's own; give its file (digest {digest[:DIGEST_SHOWN]}) "
            f"with {self._flag} path/to/file.py:{called}"
        )

    def _parts(self, spec: str) -> tuple[Path, str]:
        check_spec(spec, self._kind, self._what)
        path, _, called = spec.rpartition(":")
        if not names_a_file(spec) or not called.isidentifier():
            raise ConfigError(
                f"{shortened(spec)!r} is no own {self._kind}; write path/to/file.py:{self._what.upper()}"
            )
        return Path(path).expanduser(), called


def check_spec(spec: object, kind: str, what: str) -> None:
    """Raises ConfigError for somebody's code itself where only a file will do; words as for ``OwnCode``."""
    if not isinstance(spec, str):
        raise ConfigError(
            f"an own {kind} that others need as well goes by its file: write "
            f"'path/to/file.py:{what.upper()}', not the {what} itself"
        )


def _file_of(code: object) -> bytes:
    try:
        place = inspect.getsourcefile(code)  # type: ignore[arg-type]  # anything may be asked about
        return b"" if place is None else Path(place).read_bytes()
    except (TypeError, OSError):  # no function, but an object that can be called; typed into a shell
        return b""


def _load(place: Path, code: bytes, called: str, what: str) -> object:
    """Runs exactly the bytes that the digest names."""
    spec = importlib.util.spec_from_loader(f"p2pgan_own_{place.stem}", loader=None, origin=str(place))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(place)
    try:
        exec(compile(code, str(place), "exec"), module.__dict__)
    except Exception as error:  # whatever a person's file raises
        raise ConfigError(f"{place} cannot be run: {type(error).__name__}: {error}") from error
    found: object = getattr(module, called, None)
    if found is None:
        raise ConfigError(f"{place} defines no {what} {called}; check what is after the colon")
    return found
