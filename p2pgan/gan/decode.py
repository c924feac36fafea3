"""From an image file of any kind to the run's square of pixels."""

from __future__ import annotations

import struct
import zlib
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from p2pgan.errors import DatasetError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MAX_PIXELS = 64 * 1024 * 1024
"""A larger image is taken for a decompression bomb."""

# What Pillow and the decoders below it raise for a damaged file.
BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error)


def read_image(stream: IO[bytes]) -> Image.Image:
    """Decodes one image to RGB, turned as its EXIF data says.

    Raises DatasetError if it is damaged, no image, or larger than ``MAX_PIXELS``.
    """
    try:
        with Image.open(stream) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DatasetError(f"an image of {image.width} x {image.height} pixels is too large")
            return ImageOps.exif_transpose(image).convert("RGB")
    except (*BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DatasetError(f"an image cannot be decoded: {error}") from error


def to_square(image: Image.Image, resolution: int) -> npt.NDArray[np.uint8]:
    """Centre crop and antialiased resize: uint8, shape ``(3, resolution, resolution)``."""
    square = ImageOps.fit(image.convert("RGB"), (resolution, resolution), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square, dtype=np.uint8).transpose(2, 0, 1))
