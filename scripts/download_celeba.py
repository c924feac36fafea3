"""Downloads the aligned faces of CelebA: ``python scripts/download_celeba.py --out data``.

202,599 photographs, 1.4 GB. The zip file is used as it is, nothing is unpacked.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from downloading import Download, Refused, main


def check(path: Path) -> str:
    """How to use the archive. Raises Refused if it is none."""
    if not zipfile.is_zipfile(path):
        raise Refused(f"{path} is no zip file")
    return f"p2pgan lead --dataset zip:{path} --resolution 64"


CELEBA = Download(
    name="img_align_celeba.zip",
    url="https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t",
    md5="00d2c5bc6d35e252742224ab0c1e8fcb",
    folder="celeba",
    licence="for research that is not commercial only, the faces are people's; the agreement stands at "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    by_hand="follow Align&Cropped Images at https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, in Img take "
    "img_align_celeba.zip; the host lets a file be taken so often a day, so try again tomorrow.",
    finish=check,
)

if __name__ == "__main__":
    sys.exit(main(CELEBA))
