"""Downloads CIFAR-10: ``python scripts/download_cifar10.py --out data``.

60,000 photographs of 32 x 32 pixels in ten classes, 170 MB, and as much again unpacked.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

from downloading import Download, Refused, main


def unpack(path: Path) -> str:
    """Unpacks the archive beside it; how to use it. Raises Refused if it is none."""
    try:
        with tarfile.open(path) as archive:
            # Nothing leads out of the folder. Python before 3.11.4 has no filters: there the digest vouches.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(path.parent)
    except tarfile.TarError as error:
        raise Refused(f"{path} cannot be unpacked: {error}") from error
    return f"p2pgan lead --dataset cifar10 --data-root {path.parent} --conditional"


CIFAR10 = Download(
    name="cifar-10-python.tar.gz",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    folder=".",
    licence="no licence is stated; its authors ask for a citation (Krizhevsky, 2009), see "
    "https://www.cs.toronto.edu/~kriz/cifar.html",
    by_hand="take CIFAR-10 python version at https://www.cs.toronto.edu/~kriz/cifar.html.",
    finish=unpack,
)

if __name__ == "__main__":
    sys.exit(main(CIFAR10))
