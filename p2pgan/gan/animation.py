"""Moving pictures: GIF, which everything shows, and WebP, which has all colours."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from p2pgan.errors import InternalError
from p2pgan.gan.output import write_whole
from p2pgan.gan.sampling import grid_picture

FORMATS = {".gif": "GIF", ".webp": "WEBP"}


def write_animation(frames: Iterable[Tensor], path: Path, frame_ms: int) -> int:
    """Writes grids of images (uint8, ``(n, 3, H, W)`` each) as an endless loop; how many there were.

    ``path`` ends in ``.gif`` or ``.webp``. Raises ConfigError if it cannot be written.
    """
    pictures = [grid_picture(images) for images in frames]
    if not pictures:
        raise InternalError("an animation without a frame")
    buffer = io.BytesIO()
    how: dict[str, Any] = {"save_all": True, "append_images": pictures[1:], "duration": frame_ms, "loop": 0}
    if path.suffix.lower() == ".webp":
        # What looks alike may share its pixels, but nothing is thrown away.
        how |= {"lossless": True}
    pictures[0].save(buffer, FORMATS[path.suffix.lower()], **how)
    write_whole(path, buffer.getvalue())
    return len(pictures)
