"""What an instructor writes on the blackboard, and the login that it invites a whole class with."""

from __future__ import annotations

import hmac
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from p2pgan.gan.sources import TORCHVISION_NAMES
from p2pgan.peer.config import RunConfig
from p2pgan.peer.options import LeadOptions
from p2pgan.rendezvous.dsn import only_from_here
from p2pgan.rendezvous.logins import LoginTaken
from p2pgan.transport.checkup import told_address
from p2pgan.transport.curve import load_keys

CLASS_LOGINS = ("class", *(f"class-{number}" for number in range(2, 10)))
"""Logins are the whole server's, so each database with a class takes another."""
CLASS_CONNECTIONS = 200
"""For a hundred peers."""
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""32 that nobody takes for each other on a blackboard: no l, o, 0, 1."""
_GROUPS, _GROUP = 3, 4
PROJECT = "p2pgan"


class Invites(Protocol):
    """A rendezvous, as far as invitations go."""

    def invite(
        self, login: str, host: str | None = None, *, password: str | None = None, connections: int = ...
    ) -> str:
        """See ``LoginCalls.invite``."""
        ...


def invite_class(rendezvous: Invites, options: LeadOptions) -> str:
    """The DSN that a class joins with: the same at every start from one state folder.

    Raises:
        ConfigError: the key cannot be used, or this machine's address cannot be found out.
        RendezvousRefused: the login that leads may not create others.
    """
    host = None
    if only_from_here(options.rendezvous):  # a server on this machine, which others dial by its address
        host = told_address(options.bind_host, options.advertise).strip("[]")
    secret = load_keys(options.state_folder).secret

    def invite(login: str) -> str:
        password = easily_written(secret, f"the login {login} of a class")
        return rendezvous.invite(login, host, password=password, connections=CLASS_CONNECTIONS)

    *first, last = CLASS_LOGINS
    for login in first:
        with suppress(LoginTaken):  # by a class in another database of that server
            return invite(login)
    return invite(last)


def easily_written(secret: str, purpose: str) -> str:
    """A password of 60 bits for one purpose, from a secret that cannot be found out from it."""
    digest = hmac.digest(secret.encode(), purpose.encode(), "sha256")
    letters = [_LETTERS[byte % len(_LETTERS)] for byte in digest[: _GROUPS * _GROUP]]
    return "-".join("".join(letters[at : at + _GROUP]) for at in range(0, len(letters), _GROUP))


def blackboard(dsn: str, page: str, run: str | None, config: RunConfig) -> Iterator[str]:
    """The lines for the blackboard; ``run`` is the run's name if the class has to say it."""
    yield "for the blackboard; on each machine:"
    yield f"  {install_line()}"
    yield f'  p2pgan join --rendezvous "{dsn}"' + (f" --run {run}" if run else "") + _images(config.dataset)
    yield f"and to watch: {page}"


def install_line() -> str:
    """How somebody else gets the p2pgan that runs here."""
    try:
        installed = distribution(PROJECT)
    except PackageNotFoundError:  # it runs from where it lies
        return _from_checkout(Path(__file__).parents[2])
    told = installed.read_text("direct_url.json")
    if told is None:
        return f"pip install {PROJECT}=={installed.version}"
    origin = json.loads(told)
    url: str = origin["url"]
    if "vcs_info" in origin:
        said = origin["vcs_info"]
        return f'pip install "{said["vcs"]}+{_public(url)}@{said["commit_id"]}"'
    if "dir_info" in origin:
        return _from_checkout(Path(url2pathname(urlsplit(url).path)))
    return f'pip install "{_public(url)}"'


def _images(spec: str) -> str:
    """What ``join`` is told of the images; those that come with the program need no word."""
    if spec in TORCHVISION_NAMES:
        return " --download"
    kind, _, path = spec.partition(":")
    return f' --dataset "{kind}:{Path(path).name}"' if path else ""


def _from_checkout(folder: Path) -> str:
    if remote := _remote_of(folder):
        return f'pip install "git+{_public(remote)}"'
    return f"pip install .   # in a copy of {folder}"


def _remote_of(checkout: Path) -> str | None:
    """Where a checkout came from, if others can reach that too."""
    command = ("git", "-C", str(checkout), "remote", "get-url", "origin")
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no git here: then it is not said
        return None
    url = said.stdout.strip()
    return url if said.returncode == 0 and urlsplit(url).scheme in ("http", "https", "ssh") else None


def _public(url: str) -> str:
    """A URL without a password in it."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    user = "git@" if parts.scheme == "ssh" else ""
    return urlunsplit(parts._replace(netloc=user + place))
