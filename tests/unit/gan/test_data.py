import io
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from p2pgan.errors import DatasetError
from p2pgan.gan import data
from p2pgan.gan.data import open_images


def picture(seed: int, size: tuple[int, int] = (40, 50), kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def make_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def always_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 0)


def test_digits_are_built_in():
    digits = open_images("digits", 32)
    assert (digits.count, digits.resolution) == (1797, 32)
    batch = digits.batch(torch.tensor([3, 0, 3]))
    assert batch.shape == (3, 3, 32, 32)
    assert batch.dtype == torch.uint8
    assert torch.equal(batch[0], batch[2])
    assert torch.equal(batch[:, 0], batch[:, 1]), "grey"
    assert batch.max() > 200
    assert batch[..., 0].max() < 40, "a dark border"
    assert digits.fingerprint == open_images("digits", 32).fingerprint


def test_a_batch_is_a_copy():
    digits = open_images("digits", 32)
    digits.batch(torch.tensor([0])).zero_()
    assert digits.batch(torch.tensor([0])).max() > 0


def test_zip_and_folder_of_the_same_files_are_the_same_images(tmp_path: Path):
    files = {f"class-{n % 2}/{n}.png": picture(n) for n in range(5)}
    archive = make_zip(tmp_path / "images.zip", files)
    for name, content in files.items():
        place = tmp_path / "images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    zipped = open_images(f"zip:{archive}", 32)
    assert zipped.count == 5
    assert zipped.fingerprint == open_images(f"folder:{tmp_path / 'images'}", 32).fingerprint


def test_flat_archives_and_their_order(tmp_path: Path):
    one = make_zip(tmp_path / "one.zip", {"b.png": picture(2), "a.jpg": picture(1, kind="JPEG")})
    two = make_zip(tmp_path / "two.zip", {"a.jpg": picture(1, kind="JPEG"), "b.png": picture(2)})
    assert open_images(f"zip:{one}", 32).fingerprint == open_images(f"zip:{two}", 32).fingerprint


def test_other_files_are_passed_over(tmp_path: Path):
    entries = {"a.png": picture(1), "notes.txt": b"x", "__MACOSX/._a.png": b"x", ".hidden.png": b"x"}
    assert open_images(f"zip:{make_zip(tmp_path / 'a.zip', entries)}", 32).count == 1


def test_centre_crop(tmp_path: Path):
    wide = Image.new("RGB", (96, 32), "red")
    wide.paste((0, 0, 255), (32, 0, 64, 32))
    (tmp_path / "images").mkdir()
    wide.save(tmp_path / "images" / "wide.png")
    image = open_images(f"folder:{tmp_path / 'images'}", 32).batch(torch.tensor([0]))[0]
    assert image[2].min() == 255
    assert image[0].max() == 0


@pytest.mark.usefixtures("always_cached")
def test_decoded_once_and_mapped_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = make_zip(tmp_path / "images.zip", {f"{n}.png": picture(n) for n in range(4)})
    cache = tmp_path / "cache"
    first = open_images(f"zip:{archive}", 32, cache_dir=cache)
    (kept,) = cache.iterdir()
    assert kept.stat().st_size == 4 * 3 * 32 * 32
    monkeypatch.setattr(data, "to_square", None)  # decoding again would fail
    again = open_images(f"zip:{archive}", 32, cache_dir=cache)
    assert again.fingerprint == first.fingerprint
    assert torch.equal(again.batch(torch.arange(4)), first.batch(torch.arange(4)))


@pytest.mark.usefixtures("always_cached")
def test_a_changed_archive_is_decoded_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("P2PGAN_CACHE", str(tmp_path / "cache"))
    archive = make_zip(tmp_path / "images.zip", {"a.png": picture(1)})
    before = open_images(f"zip:{archive}", 32).fingerprint
    make_zip(archive, {"a.png": picture(2)})
    facts = archive.stat()
    os.utime(archive, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert open_images(f"zip:{archive}", 32).fingerprint != before
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.usefixtures("always_cached")
def test_a_failed_decoding_leaves_nothing(tmp_path: Path):
    archive = make_zip(tmp_path / "images.zip", {"a.png": b"no image"})
    with pytest.raises(DatasetError, match="none of the images of images.zip can be decoded: a.png"):
        open_images(f"zip:{archive}", 32, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.usefixtures("always_cached")
def test_a_cache_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    archive = make_zip(tmp_path / "images.zip", {"a.png": picture(1)})
    with pytest.raises(DatasetError, match="set P2PGAN_CACHE"):
        open_images(f"zip:{archive}", 32, cache_dir=tmp_path / "file" / "cache")


def test_broken_images_are_counted_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    whole = picture(1, size=(200, 200))
    entries = {
        "good.png": whole,
        "short.png": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.jpg": b"not an image",
    }
    images = open_images(f"zip:{make_zip(tmp_path / 'images.zip', entries)}", 32)
    assert images.count == 1
    assert "3 broken images are left out of images.zip: empty.png, short.png, text.jpg" in caplog.text


def test_one_broken_image_is_named_and_of_many_the_first_few(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "images"
    (folder / "class").mkdir(parents=True)
    (folder / "good.png").write_bytes(picture(1))
    (folder / "class" / "bad.png").write_bytes(b"")
    assert open_images(f"folder:{folder}", 32).count == 1
    assert "1 broken image is left out of images: class/bad.png" in caplog.text
    for number in range(5):
        (folder / f"bad-{number}.png").write_bytes(b"")
    open_images(f"folder:{folder}", 32)
    assert "6 broken images are left out of images: bad-0.png, bad-1.png, bad-2.png and 3 more" in caplog.text


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("faces.zip", "zip:faces.zip"),
        ("Faces.ZIP", "zip:Faces.ZIP"),
        ("images", "folder:images"),
        ("folder.zip", "folder:folder.zip"),
        ("fashion_mnist", "fashion-mnist"),
        ("CIFAR10", "cifar10"),
        ("digit", "digits"),
    ],
)
def test_what_was_meant_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, meant: str):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(DatasetError, match=f"unknown dataset '{spec}'; did you mean {meant}\\?$"):
        open_images(spec, 32)


def saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


RAMP = np.linspace(0, 1, 32, dtype=np.float32)[None, :].repeat(32, axis=0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("16 bits.png", saved(Image.fromarray(np.rint(RAMP * 65535).astype(np.uint16)), "PNG")),
        ("16 bits.tif", saved(Image.fromarray(np.rint(RAMP * 65535).astype(np.uint16)), "TIFF")),
        ("32 bits.tif", saved(Image.fromarray(np.rint(RAMP * 65535).astype(np.int32)), "TIFF")),
        ("32 bits of bytes.tif", saved(Image.fromarray(np.rint(RAMP * 255).astype(np.int32)), "TIFF")),
        ("float to 1.tif", saved(Image.fromarray(RAMP), "TIFF")),
        ("float to 255.tif", saved(Image.fromarray(RAMP * 255), "TIFF")),
    ],
)
def test_deep_greys_are_scaled(tmp_path: Path, name: str, content: bytes):
    images = open_images(f"zip:{make_zip(tmp_path / 'images.zip', {name: content})}", 32)
    expected = torch.from_numpy(np.rint(RAMP * 255)).expand(1, 3, -1, -1)
    difference = images.batch(torch.tensor([0])).float() - expected
    assert difference.abs().max() <= 1


@pytest.mark.parametrize("values", [RAMP * 1e6, RAMP - 0.5, RAMP * np.nan])
def test_numbers_that_are_no_greys_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, values: np.ndarray
):
    entries = {"a.png": picture(1), "heights.tif": saved(Image.fromarray(values), "TIFF")}
    assert open_images(f"zip:{make_zip(tmp_path / 'images.zip', entries)}", 32).count == 1
    assert "1 broken image is left out of images.zip: heights.tif" in caplog.text


def test_an_image_of_another_format_is_left_out_whatever_its_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    texture = bytearray(saved(Image.new("RGB", (8, 8)), "DDS"))
    texture[80:88] = (4).to_bytes(4, "little") + b"ODD!"  # a compression that nobody knows
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture(1))
    (folder / "texture.png").write_bytes(texture)
    assert open_images(f"folder:{folder}", 32).count == 1
    assert "1 broken image is left out of images: texture.png" in caplog.text


def test_whatever_a_decoder_raises_only_its_image_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    transpose = ImageOps.exif_transpose

    def fails_on_small_ones(image: Image.Image) -> Image.Image:
        if image.width == 8:
            raise NotImplementedError("an unknown kind of pixels")
        return transpose(image)

    monkeypatch.setattr(ImageOps, "exif_transpose", fails_on_small_ones)
    entries = {"a.png": picture(1), "odd.png": picture(2, size=(8, 8))}
    assert open_images(f"zip:{make_zip(tmp_path / 'images.zip', entries)}", 32).count == 1
    assert "1 broken image is left out of images.zip: odd.png" in caplog.text


def test_broken_exif_data_are_passed_over_without_a_warning(tmp_path: Path):
    broken = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x02\x00\x12\x01\x03\x00\xff\xff\xff\xff"
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "white").save(buffer, "JPEG", exif=broken)
    images = open_images(f"zip:{make_zip(tmp_path / 'images.zip', {'a.jpg': buffer.getvalue()})}", 32)
    assert images.count == 1


def test_an_entry_whose_bytes_were_changed_is_left_out(tmp_path: Path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.png", picture(1))
        archive.writestr("b.png", picture(2))
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    assert open_images(f"zip:{path}", 32).count == 1


def test_a_huge_image_is_taken_for_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("p2pgan.gan.decode.MAX_PIXELS", 1000)
    archive = make_zip(tmp_path / "images.zip", {"a.png": picture(1)})
    with pytest.raises(DatasetError, match="none of the images of images.zip can be decoded: a.png"):
        open_images(f"zip:{archive}", 32)


@pytest.mark.parametrize("name", ["/etc/a.png", "../a.png", "x/../../a.png", "C:/a.png", "x\\..\\..\\a.png"])
def test_paths_out_of_the_archive_are_refused(tmp_path: Path, name: str):
    archive = make_zip(tmp_path / "images.zip", {name: picture(1)})
    with pytest.raises(DatasetError, match="outside of itself"):
        open_images(f"zip:{archive}", 32)


def test_symbolic_links_are_refused(tmp_path: Path):
    link = zipfile.ZipInfo("a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match="symbolic link"):
        open_images(f"zip:{path}", 32)


def test_an_entry_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path: Path):
    archive = make_zip(tmp_path / "images.zip", {"a.bmp": bytes(4 << 20)})
    with pytest.raises(DatasetError, match="unpacks to 4194304 bytes"):
        open_images(f"zip:{archive}", 32)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("imagenet", "unknown dataset 'imagenet'; choose digits, mnist"),
        ("zip:", "lacks a path; write zip:PATH"),
        ("zip:{}/none.zip", "no file at"),
        ("folder:{}/none", "no folder at"),
        ("folder:{}", "no images in"),
        ("folder:" + "a" * 5000, r"the data set folder:a+ \.\.\. a+ cannot be read: File name too long"),
        ("zip:" + "a" * 5000, r"the data set zip:a+ \.\.\. a+ cannot be read: File name too long"),
        ("a" * 5000, r"the data set a+ \.\.\. a+ cannot be read: File name too long"),
        ("folder:~nobody-of-that-name/x", "is in no user's home"),
        ("cifar10", "cifar10 is not below .*; add --download"),
        ("mnist", "mnist is not below .*; add --download"),
        ("fashion-mnist", "fashion-mnist is not below .*; add --download"),
        ("celeba", "celeba is not below .*; add --download"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(tmp_path: Path, spec: str, line: str):
    with pytest.raises(DatasetError, match=line) as caught:
        open_images(spec.format(tmp_path), 32, data_root=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"plain text"])
def test_a_corrupt_archive(tmp_path: Path, content: bytes):
    path = tmp_path / "images.zip"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="not a readable zip archive"):
        open_images(f"zip:{path}", 32)


def test_torchvision_folders_are_found(tmp_path: Path):
    """A small MNIST in torchvision's own layout: the raw IDX files below MNIST/raw."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(1).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    header = b"\x00\x00\x08\x03" + b"".join(n.to_bytes(4, "big") for n in pixels.shape)
    labels = b"\x00\x00\x08\x01" + (6).to_bytes(4, "big") + bytes(6)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    images = open_images("mnist", 32, data_root=tmp_path)
    assert images.count == 6
    assert torch.equal(images.batch(torch.arange(6))[:, 0], images.batch(torch.arange(6))[:, 2])
