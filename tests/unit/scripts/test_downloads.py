"""The scripts that download data sets, against a host that breaks off, refuses and sends something else."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def a_zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("img_align_celeba/000001.jpg", bytes(range(256)) * 400)
    return packed.getvalue()


CONTENT = a_zip()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@dataclass
class Host:
    """A host on loopback with one file, and how it behaves."""

    content: bytes = CONTENT
    breaks_after: int | None = None
    """Bytes of an answer after which the connection ends."""
    ranges: bool = True
    status: int = 200
    kind: str = "application/zip"
    asked: list[str | None] = field(default_factory=list)
    """The ranges that were asked for."""
    url: str = ""


def handler(host: Host) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            host.asked.append(wanted)
            begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and host.ranges else 0
            if host.status != 200 or begin >= len(host.content):
                self.send_error(host.status if host.status != 200 else 416)
                return
            self.send_response(206 if begin else 200)
            if begin:
                end = len(host.content)
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
            self.send_header("Content-Type", host.kind)
            self.send_header("Content-Length", str(len(host.content) - begin))
            self.end_headers()
            rest = host.content[begin:]
            self.wfile.write(rest if host.breaks_after is None else rest[: host.breaks_after])

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def host() -> Iterator[Host]:
    behaviour = Host()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(behaviour)) as server:
        behaviour.url = f"http://127.0.0.1:{server.server_port}/file"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield behaviour
        server.shutdown()
        thread.join()


@dataclass
class Said:
    returncode: int
    stdout: str
    stderr: str


Downloads = Callable[..., Said]


@pytest.fixture
def download(host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Downloads:
    """Runs a script in this process, with no pause between two tries."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr(import_module("downloading"), "PAUSE_S", 0)

    def run(out: Path, script: str = "celeba", md5: str = MD5) -> Said:
        monkeypatch.setattr("sys.argv", ["script", "--out", str(out), "--url", host.url, "--md5", md5])
        wanted = getattr(import_module(f"download_{script}"), script.upper())
        code = import_module("downloading").main(wanted)
        return Said(code, *capsys.readouterr())

    return run


def faces(out: Path) -> Path:
    return out / "celeba" / "img_align_celeba.zip"


def part(out: Path) -> Path:
    return out / "celeba" / "img_align_celeba.zip.part"


def test_a_download_that_breaks_off_goes_on_where_it_was(
    host: Host, download: Downloads, tmp_path: Path
) -> None:
    host.breaks_after = len(CONTENT) // 3
    said = download(tmp_path)
    assert said.returncode == 0, said.stderr
    assert faces(tmp_path).read_bytes() == CONTENT
    assert host.asked[0] is None
    assert host.asked[1:] == [f"bytes={n * host.breaks_after}-" for n in range(1, len(host.asked))]
    assert "not commercial" in said.stdout
    assert f"--dataset zip:{faces(tmp_path)}" in said.stdout
    host.asked.clear()
    assert download(tmp_path).returncode == 0
    assert host.asked == []  # it was there, and checked


def test_one_that_was_interrupted_goes_on_with_the_next_call(
    host: Host, download: Downloads, tmp_path: Path
) -> None:
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(CONTENT[:1000])
    assert download(tmp_path).returncode == 0
    assert (host.asked, faces(tmp_path).read_bytes()) == (["bytes=1000-"], CONTENT)
    assert not part(tmp_path).exists()


@pytest.mark.parametrize("left", [CONTENT, b"?" * 1000, CONTENT + b"more"])
def test_what_an_earlier_call_left_is_not_believed(
    left: bytes, host: Host, download: Downloads, tmp_path: Path
) -> None:
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(left)
    said = download(tmp_path)
    assert said.returncode == 0, said.stderr
    assert faces(tmp_path).read_bytes() == CONTENT


def test_a_host_without_ranges_sends_all_of_it_again(host: Host, download: Downloads, tmp_path: Path) -> None:
    host.ranges = False
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(b"?" * 1000)
    assert download(tmp_path).returncode == 0
    assert faces(tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ({"status": 403}, "the host refuses: 403"),
        ({"status": 503}, "the host has trouble: 503"),
        ({"kind": "text/html"}, "a page instead of the file"),
        ({"content": CONTENT[:-1] + b"?"}, "is not the published file"),
        ({"breaks_after": 0}, "breaks off again and again"),
    ],
)
def test_a_refusal_is_one_line_and_how_to_do_it_by_hand(
    behaviour: dict[str, object], why: str, host: Host, download: Downloads, tmp_path: Path
) -> None:
    for name, value in behaviour.items():
        setattr(host, name, value)
    said = download(tmp_path)
    assert said.returncode == 1
    assert why in said.stderr and said.stderr.count("could not be downloaded") == 1
    assert f"Put the file to {faces(tmp_path)} (MD5 {MD5})" in said.stderr
    assert not faces(tmp_path).exists()


def test_a_file_put_there_by_hand_is_checked(host: Host, download: Downloads, tmp_path: Path) -> None:
    faces(tmp_path).parent.mkdir()
    faces(tmp_path).write_bytes(b"something else")
    said = download(tmp_path)
    assert said.returncode == 1 and "another file: remove it" in said.stderr
    assert faces(tmp_path).read_bytes() == b"something else"
    assert host.asked == []


def test_cifar_is_unpacked_where_the_data_set_is_looked_for(
    host: Host, download: Downloads, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"batch"))
    host.content = packed.getvalue()
    md5 = hashlib.md5(host.content, usedforsecurity=False).hexdigest()
    said = download(tmp_path, "cifar10", md5)
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "cifar-10-batches-py" / "data_batch_1").read_bytes() == b"batch"
    assert f"--dataset cifar10 --data-root {tmp_path}" in said.stdout


def test_an_archive_that_leads_out_of_its_folder_is_refused(
    host: Host, download: Downloads, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    host.content = packed.getvalue()
    md5 = hashlib.md5(host.content, usedforsecurity=False).hexdigest()
    said = download(tmp_path / "data", "cifar10", md5)
    assert said.returncode == 1 and "cannot be unpacked" in said.stderr
    assert not (tmp_path / "outside").exists()


def test_the_digests_are_those_that_torchvision_has() -> None:
    package = find_spec("torchvision")
    assert package is not None and package.origin is not None
    for name, script in (("celeba", "celeba"), ("cifar", "cifar10")):
        theirs = (Path(package.origin).parent / "datasets" / f"{name}.py").read_text(encoding="utf-8")
        ours = re.findall(r'md5="(\w+)"', (ROOT / "scripts" / f"download_{script}.py").read_text())
        assert len(ours) == 1 and f'"{ours[0]}"' in theirs
