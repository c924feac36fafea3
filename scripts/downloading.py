"""Downloads one large file: goes on where it broke off, and believes nothing but the published digest.

What the scripts ``download_*.py`` beside this one have in common.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

PIECE = 1 << 20
TIMEOUT_S = 30.0
FRUITLESS = 5
"""So many tries in a row without a byte more are enough."""
PAUSE_S = 0.5
"""After the first of them; doubled after each."""
BROKEN_OFF = (http.client.HTTPException, ConnectionError, TimeoutError)


class Refused(Exception):  # noqa: N818  # as in p2pgan's own tree
    """The file cannot be had from this host; the text says why."""


class Broken(Exception):  # noqa: N818
    """The connection ended before the file did."""


@dataclass(frozen=True)
class Download:
    """A published file, and what to do with it once it is there."""

    name: str
    url: str
    md5: str
    folder: str
    """Below ``--out``."""
    licence: str
    by_hand: str
    """Where people find the file with a browser."""
    finish: Callable[[Path], str]
    """Gets the file, says how to use it."""


def main(wanted: Download) -> int:
    """Downloads as the command line says; the exit code."""
    parser = argparse.ArgumentParser(description=f"Download {wanted.name}, checked and resumable.")
    parser.add_argument("--out", type=Path, default=Path("data"), metavar="DIR", help="as --data-root has it")
    parser.add_argument("--url", default=wanted.url, help="another host that has the same file")
    parser.add_argument("--md5", default=wanted.md5, help=argparse.SUPPRESS)  # for tests
    asked = parser.parse_args()
    target = asked.out / wanted.folder / wanted.name
    print(f"{wanted.name}: {wanted.licence}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch(asked.url, target, asked.md5)
        print(wanted.finish(target))
    except KeyboardInterrupt:
        print("interrupted: call it again, and it goes on from here", file=sys.stderr)
        return 130
    except (Refused, Broken, OSError) as error:
        print(f"{wanted.name} could not be downloaded: {error}", file=sys.stderr)
        print(
            f"By hand: {wanted.by_hand}\nPut the file to {target} (MD5 {asked.md5}) and call this again: "
            "it is checked and used as it is.",
            file=sys.stderr,
        )
        return 1
    return 0


def fetch(url: str, target: Path, md5: str) -> None:
    """Brings the file at ``url`` to ``target``, unless it is there; what broke off goes on.

    Raises:
        Refused: the host says no, or has another file.
        Broken: the connection broke off again and again.
    """
    if target.exists():
        if digest_of(target) == md5:
            return
        raise Refused(f"{target} is there already, but it is another file: remove it")
    part = target.with_name(f"{target.name}.part")
    had_part = part.exists()
    _complete(url, part)
    if digest_of(part) != md5:
        part.unlink()
        if not had_part:
            raise Refused("what the host sent is not the published file (its digest is another)")
        # What an earlier call left may be of another file, or damaged: once more, from the beginning.
        _complete(url, part)
        if digest_of(part) != md5:
            part.unlink()
            raise Refused("what the host sent is not the published file (its digest is another)")
    part.replace(target)


def digest_of(path: Path) -> str:
    """The MD5 of a file: no protection against forgery, but what was published."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _complete(url: str, part: Path) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task(part.name.removesuffix(".part"), total=None)

        def told(done: int, total: int | None) -> None:
            progress.update(bar, completed=done, total=total)

        fruitless = 0
        while True:
            before = _size(part)
            try:
                return _append(url, part, told)
            except Broken:
                fruitless = 0 if _size(part) > before else fruitless + 1
                if fruitless == FRUITLESS:
                    raise
            time.sleep(PAUSE_S * 2**fruitless)


def _append(url: str, part: Path, told: Callable[[int, int | None], None]) -> None:
    """One try to get what is missing of ``part``."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "p2pgan", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            if answer.headers.get_content_type() == "text/html":
                raise Refused("the host answers with a page instead of the file")
            # A host that knows no ranges sends all of it again.
            begin = have if _goes_on(answer, have) else 0
            length = answer.headers.get("Content-Length")
            total = begin + int(length) if length is not None and length.isdecimal() else None
            _check_room(part, begin, total)
            with part.open("r+b" if begin else "wb") as file:
                file.seek(begin)
                while piece := answer.read(PIECE):
                    file.write(piece)
                    told(file.tell(), total)
                if total is not None and file.tell() < total:
                    raise Broken("the connection breaks off again and again; call it again to go on")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # all of it was there
            return
        if error.code >= 500:
            raise Broken(f"the host has trouble: {error.code} {error.reason}") from error
        raise Refused(f"the host refuses: {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise Broken(f"the host cannot be reached: {error.reason}") from error
    except BROKEN_OFF as error:
        raise Broken("the connection breaks off again and again; call it again to go on") from error


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _goes_on(answer: http.client.HTTPResponse, have: int) -> bool:
    return answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _check_room(part: Path, begin: int, total: int | None) -> None:
    if total is not None and (free := shutil.disk_usage(part.parent).free) < total - begin:
        raise Refused(
            f"the disk has {free / 1e9:.1f} GB free, and {(total - begin) / 1e9:.1f} GB are missing"
        )
