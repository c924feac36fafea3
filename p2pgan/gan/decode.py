"""From an image file of any kind to the run's square of pixels."""

from __future__ import annotations

import struct
import warnings
import zlib
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from p2pgan.errors import DatasetError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What is decoded whatever a file's name says: each other decoder of Pillow is one more way in."""
MAX_PIXELS = 64 * 1024 * 1024
"""A larger image is taken for a decompression bomb."""

BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error)
"""What reading a damaged archive raises."""

# Pillow's modes of one deep number a pixel, and what white may be in them: the least that fits is meant.
_DEEP_GREYS = {
    "I;16": (65535,),
    "I;16B": (65535,),
    "I;16L": (65535,),
    "I;16N": (65535,),
    "I": (255, 65535),
    "F": (1, 255),
}


def read_image(stream: IO[bytes]) -> Image.Image:
    """Decodes one image to RGB, turned as its EXIF data says; of several frames the first.

    Raises DatasetError if it is damaged, no image, of numbers that are no colours, or larger than
    ``MAX_PIXELS``.
    """
    try:
        # Pillow warns of damage that it can pass over, such as broken EXIF data, and of sizes.
        with warnings.catch_warnings(action="ignore"), Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DatasetError(f"an image of {image.width} x {image.height} pixels is too large")
            return _to_rgb(ImageOps.exif_transpose(image))
    except DatasetError:
        raise
    except Exception as error:  # Pillow raises whatever a damaged file leads it to
        raise DatasetError(f"an image cannot be decoded: {error}") from error


def to_square(image: Image.Image, resolution: int) -> npt.NDArray[np.uint8]:
    """Centre crop and antialiased resize: uint8, shape ``(3, resolution, resolution)``."""
    square = ImageOps.fit(image.convert("RGB"), (resolution, resolution), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square, dtype=np.uint8).transpose(2, 0, 1))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _DEEP_GREYS:
        image = _to_bytes(image, _DEEP_GREYS[image.mode])
    return image.convert("RGB")


def _to_bytes(image: Image.Image, whites: tuple[int, ...]) -> Image.Image:
    """Scales deep greys to 8 bits, where Pillow's own conversion would cut them off at 255.

    Raises DatasetError if the values are not between 0 and one of ``whites``.
    """
    values = np.asarray(image, dtype=np.float32)
    least, most = float(values.min()), float(values.max())
    white = next((white for white in whites if 0 <= least <= most <= white), None)
    if white is None:
        raise DatasetError(f"its values from {least:g} to {most:g} are no greys")
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
