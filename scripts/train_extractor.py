"""Trains the small classifier on whose features ``p2pgan score`` works unless told otherwise.

``python scripts/train_extractor.py --builtin`` takes some minutes on one core, and replaces
p2pgan/gan/scores/extractor.safetensors, whose digest it prints. It needs Fashion-MNIST where Debian's
package dataset-fashion-mnist puts it, or where ``--fashion-mnist DIR`` says: the four ``*-ubyte.gz``
files. The digits come with scikit-learn, and are repeated so that both sets count alike; every fifth
of them, and Fashion-MNIST's test images, only measure the outcome. Images are shifted by up to two
pixels and, every other one, turned to negatives: so both black and white backgrounds are known.

With ``--dataset SPEC`` it trains one on pictures with classes of your own, as ``p2pgan train`` takes
them, and saves its features as a TorchScript file for ``p2pgan score --extractor FILE``. These are
shifted as well and, every other one, turned left to right; every tenth only measures the outcome.
The weights follow from the seed on one machine; another may round differently and give others.
"""

from __future__ import annotations

import argparse
import gzip
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from p2pgan.averaging.digest import blob_digest
from p2pgan.errors import ConfigError, DatasetError, P2pganError
from p2pgan.gan.data import open_images
from p2pgan.gan.scores.builtin import RESOLUTION, SmallClassifier

OUT = Path(__file__).parents[1] / "p2pgan" / "gan" / "scores" / "extractor.safetensors"
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
SEED = 1
BATCH = 128
LEARNING_RATE = 2e-3
DIGITS_REPEATED = 20
LEAST_TOLD = 1.5
"""Times what chance would tell right, or it has learned nothing."""
SHIFT = 2
"""Pixels."""

Labelled = tuple[Tensor, Tensor]
"""Images uint8 (n, 3, 32, 32), classes int64 (n,)."""
Change = Callable[[Tensor], Tensor]
"""Images float (n, 3, 32, 32) in [0, 255] to others of the same class."""


def read_digits() -> tuple[Labelled, Labelled]:
    """Training and test images of scikit-learn's digits, classes 0 to 9."""
    images = open_images("digits", RESOLUTION)
    everyone = torch.arange(images.count)
    pixels, labels = images.batch(everyone), images.labels_of(everyone)
    test = everyone % 5 == 0
    return (pixels[~test], labels[~test]), (pixels[test], labels[test])


def read_fashion(folder: Path, part: str) -> Labelled:
    """Fashion-MNIST (Xiao et al., 2017), classes 10 to 19, two black pixels added on each side."""
    greys = torch.from_numpy(_idx(folder / f"{part}-images-idx3-ubyte.gz", header=16).reshape(-1, 1, 28, 28))
    labels = torch.from_numpy(_idx(folder / f"{part}-labels-idx1-ubyte.gz", header=8).astype(np.int64))
    return F.pad(greys, (2, 2, 2, 2)).expand(-1, 3, -1, -1), labels + 10


def _idx(path: Path, header: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header).copy()


def read_own(spec: str, data_root: Path | None) -> tuple[Labelled, Labelled]:
    """Training and test images of a data set. Raises DatasetError if it has no classes, or few images."""
    images = open_images(spec, RESOLUTION, data_root)
    if images.classes < 2:
        raise DatasetError(f"{spec} has no classes: an extractor learns to tell them apart")
    everyone = torch.arange(images.count)
    test = everyone % 10 == 0
    if int((~test).sum()) < BATCH:
        raise DatasetError(
            f"{spec} has {images.count} images: {BATCH} are needed beside a tenth for the test"
        )
    pixels, labels = images.batch(everyone), images.labels_of(everyone)
    return (pixels[~test], labels[~test]), (pixels[test], labels[test])


def negative(images: Tensor) -> Tensor:
    """Of images float (n, 3, R, R) in [0, 255]."""
    return 255 - images


def mirrored(images: Tensor) -> Tensor:
    """Left to right, images (n, 3, R, R)."""
    return images.flip(-1)


def varied(images: Tensor, source: torch.Generator, change: Change) -> Tensor:
    """Every image shifted, every other one changed."""
    padded = F.pad(images.float(), (SHIFT,) * 4, mode="replicate")
    shifts = torch.randint(2 * SHIFT + 1, (len(images), 2), generator=source)
    size = images.shape[-1]
    moved = torch.stack(
        [one[:, y : y + size, x : x + size] for one, (y, x) in zip(padded, shifts.tolist(), strict=True)]
    )
    changed = torch.rand(len(images), 1, 1, 1, generator=source) < 0.5
    return torch.where(changed, change(moved), moved)


def trained(
    network: SmallClassifier, images: Tensor, labels: Tensor, passes: int, change: Change
) -> SmallClassifier:
    """The classifier after so many passes over the images."""
    source = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-4)
    steps = passes * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for number in range(passes):
        order = torch.randperm(len(images), generator=source)
        for part in order[: len(order) // BATCH * BATCH].split(BATCH):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            loss = F.cross_entropy(network.classify(varied(images[part], source, change)), labels[part])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        print(f"pass {number + 1} of {passes}: last loss {loss.item():.3f}", flush=True)
    return network


def accuracy(network: SmallClassifier, images: Tensor, labels: Tensor) -> float:
    """The part of the images that is told right."""
    with torch.inference_mode():
        told = torch.cat([network.classify(part).argmax(1) for part in images.split(500)])  # type: ignore[no-untyped-call]
    return float((told == labels).float().mean())


def main() -> None:
    """Trains, measures, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dataset", metavar="SPEC", help="pictures with classes of your own; needs --out FILE")
    what.add_argument("--builtin", action="store_true", help="the one that comes with p2pgan, anew")
    parser.add_argument(
        "--fashion-mnist", type=Path, default=FASHION_MNIST, metavar="DIR", help="for --builtin"
    )
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where torchvision's data sets lie")
    parser.add_argument(
        "--width", type=_at_least_one, default=32, help="with --dataset: a quarter of the features"
    )
    parser.add_argument("--passes", type=_at_least_one, default=4, help="over all pictures")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"of --builtin {OUT.name} in the package")
    given = parser.parse_args()
    if given.out is None and not given.builtin:
        parser.error("--dataset needs --out FILE")
    out = given.out or OUT
    folder = out.absolute().parent
    if out.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        parser.error(f"{out} cannot be written: it is a folder, or in none that can be written")
    torch.manual_seed(SEED)
    try:
        if given.builtin:
            make_builtin(given.fashion_mnist, given.passes, out)
        else:
            make_own(given.dataset, given.data_root, given.width, given.passes, out)
    except (P2pganError, OSError) as error:
        parser.error(str(error))


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def make_own(spec: str, data_root: Path | None, width: int, passes: int, out: Path) -> None:
    """Trains one on pictures with classes, and saves its features as TorchScript.

    Raises ConfigError or DatasetError for pictures that do not serve, and if it has not learned to tell them
    apart: scores on its features would be good whatever is drawn.
    """
    (images, labels), test = read_own(spec, data_root)
    classes = int(labels.max()) + 1
    network = trained(SmallClassifier(width, classes), images, labels, passes, mirrored)
    told = accuracy(network, *test)
    print(f"told right: {told:.3f} of the pictures that were held out, of {classes} classes")
    if told < LEAST_TOLD / classes:
        raise ConfigError(
            f"that is hardly better than chance: more --passes than {passes}, or a larger --width"
        )
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch prefers another format
        torch.jit.script(network.eval()).save(str(out))  # type: ignore[no-untyped-call]
    print(f"{out}: {4 * width} features, BLAKE3 {blob_digest(out.read_bytes())}")


def make_builtin(fashion_mnist: Path, passes: int, out: Path) -> None:
    """Trains the one that comes with p2pgan."""
    (digits, digit_classes), digit_test = read_digits()
    fashion, fashion_classes = read_fashion(fashion_mnist, "train")
    images = torch.cat([digits.repeat(DIGITS_REPEATED, 1, 1, 1), fashion])
    labels = torch.cat([digit_classes.repeat(DIGITS_REPEATED), fashion_classes])
    network = trained(SmallClassifier(), images, labels, passes, negative)
    print(f"digits told right: {accuracy(network, *digit_test):.3f}")
    print(f"Fashion-MNIST told right: {accuracy(network, *read_fashion(fashion_mnist, 't10k')):.3f}")
    content = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    out.write_bytes(content)
    print(f"{out}: {len(content):,} bytes, BLAKE3 {blob_digest(content)}")


if __name__ == "__main__":
    main()
