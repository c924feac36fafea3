"""Images in folders and in zip archives: class folders or flat, in the order of their names."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from PIL import Image

from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import DatasetError
from p2pgan.gan.decode import BROKEN, SUFFIXES, read_image

MAX_ENTRY_BYTES = 256 * 1024 * 1024
MAX_RATIO = 200
"""Images hardly compress; an entry that unpacks to more than this is taken for a bomb."""
RATIO_MATTERS_BYTES = 1024 * 1024


NamedImage = tuple[str, Image.Image | None]
"""The name by which people find an image, and the image, or None if it is broken."""


class FolderSource:
    """All image files below a folder."""

    def __init__(self, path: Path) -> None:
        """Raises DatasetError if the path is no folder or holds no images."""
        if not path.is_dir():
            raise DatasetError(f"no folder at {path}; check the path after 'folder:'")
        self.name = path.name or "folder"
        names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        self._folder = path
        self._names = [name for name in names if _is_image(name)]
        if not self._names:
            raise DatasetError(f"no images in {path}; expected files ending in {', '.join(SUFFIXES)}")
        self.identity = listing_identity(path, [path / name for name in self._names])

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[NamedImage]:
        for name in self._names:
            yield name, self._read(self._folder / name)

    def labels(self) -> Sequence[int]:
        return class_folders(self._names)

    def _read(self, file: Path) -> Image.Image | None:
        try:
            with file.open("rb") as stream:
                return read_image(stream)
        except (DatasetError, OSError):
            return None


class ZipSource:
    """All images of a zip archive, read in place: nothing is ever unpacked to disk."""

    def __init__(self, path: Path) -> None:
        """Raises DatasetError for a missing, corrupt or dangerous archive, or one without images."""
        if not path.is_file():
            raise DatasetError(f"no file at {path}; check the path after 'zip:'")
        self.name = path.name
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        except (zipfile.BadZipFile, *BROKEN) as error:
            raise DatasetError(f"{path} is not a readable zip archive ({error}); copy it again") from error
        for entry in entries:
            _refuse_danger(path, entry)
        self._entries = sorted(
            (entry for entry in entries if _is_image(entry.filename)), key=lambda entry: entry.filename
        )
        if not self._entries:
            raise DatasetError(f"no images in {path}; expected entries ending in {', '.join(SUFFIXES)}")
        self.identity = listing_identity(path.parent, [path])

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[NamedImage]:
        with zipfile.ZipFile(self._path) as archive:
            for entry in self._entries:
                yield entry.filename, _read_entry(archive, entry)

    def labels(self) -> Sequence[int]:
        return class_folders([entry.filename for entry in self._entries])


def class_folders(names: Sequence[str]) -> list[int]:
    """The class of each image is the folder it lies in, numbered in the order of their names.

    Empty if an image lies in no folder: then the folders, if there are any, are no classes.
    """
    folders = [PurePosixPath(name).parent.name for name in names]
    if not all(folders):
        return []
    numbers = {folder: number for number, folder in enumerate(sorted(set(folders)))}
    return [numbers[folder] for folder in folders]


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Image.Image | None:
    try:
        with archive.open(entry) as stream:
            return read_image(stream)
    except (DatasetError, zipfile.BadZipFile, NotImplementedError, *BROKEN):
        return None


def listing_identity(root: Path, files: list[Path]) -> str:
    """Changes when a file below ``root`` is added, removed, renamed or written."""
    lines = [str(root.resolve())]
    for file in files:
        facts = file.stat()
        lines.append(f"{file.relative_to(root).as_posix()} {facts.st_size} {facts.st_mtime_ns}")
    return blob_digest("\n".join(lines).encode("utf-8", "surrogateescape"))


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _refuse_danger(path: Path, entry: zipfile.ZipInfo) -> None:
    """Raises DatasetError for what an archive of images never holds, but an attack may."""
    name = entry.filename
    windows = PureWindowsPath(name)
    if name.startswith("/") or windows.drive or windows.root or ".." in windows.parts:
        raise DatasetError(f"{path} names a file outside of itself ({name!r}); it is refused")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise DatasetError(f"{path} holds a symbolic link ({name!r}); it is refused")
    if entry.flag_bits & 1:
        raise DatasetError(f"{path} is encrypted; unpack it and use folder:PATH")
    ratio = entry.file_size / max(1, entry.compress_size)
    if entry.file_size > MAX_ENTRY_BYTES or (entry.file_size > RATIO_MATTERS_BYTES and ratio > MAX_RATIO):
        raise DatasetError(f"{path}: {name!r} unpacks to {entry.file_size} bytes; it is refused")
