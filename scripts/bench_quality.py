"""What averaging costs in quality, and what faults cost: FID of each way to train, on one data set.

``python -m scripts.bench_quality --dataset fashion-mnist`` trains every arm of ``scripts/quality/swarm.py``
with every seed, one after the other, and writes a table in Markdown, curves and sample grids into ``--out``;
docs/quality.md has them. An arm that is done is kept in ``results.jsonl`` there, and is not trained again;
``settings.json`` says with which settings, and others are refused.

The gap closed is (FID of one peer at batch b - FID of the arm) / (FID of one peer at b - FID of one at 4b),
at equal steps of each peer: 1 is as good as one peer with the joint batch, 0 as one peer alone, below 0
worse.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure

from p2pgan.gan.config import GanConfig
from p2pgan.gan.data import ImageSet, open_images
from p2pgan.gan.presets import preset_values
from p2pgan.gan.sampling import Generator, write_grid
from p2pgan.gan.scores.builtin import builtin_extractor
from p2pgan.gan.scores.features import Extractor
from p2pgan.gan.scores.foreign import torchscript_extractor
from p2pgan.gan.scores.score import Reference
from scripts.quality.swarm import ARMS, CLEAN, FOUR_TIMES, ONE, Arm, Swarm

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""
PADDED = 32
"""Pixels of a side to which they are padded."""
LOOKS = 4
"""Points of a curve."""
SETTINGS = ("dataset", "resolution", "steps", "batch", "rate", "width", "scored")
"""Arguments that decide what comes out, beside arm and seed."""


@dataclass(frozen=True)
class Result:
    """One arm with one seed."""

    arm: str
    seed: int
    fids: tuple[float, ...]
    """After each part of the training; the last one counts."""
    images: int
    rejected: int
    seconds: float


def main() -> None:
    """Trains what is not there yet, and writes table, curves and grids."""
    chosen = _arguments()
    torch.set_num_threads(1)
    images = _opened(chosen)
    extractor = builtin_extractor() if chosen.extractor is None else torchscript_extractor(chosen.extractor)
    keep_settings(chosen.out, settings_of(chosen, images, extractor))
    reference = Reference(images, chosen.scored, extractor, 1)
    path = chosen.out / "results.jsonl"
    done = _read(path)
    arms = chosen_arms(chosen.arms, images)
    for seed in chosen.seeds:
        for arm in arms:
            if not any((one.arm, one.seed) == (arm.name, seed) for one in done):
                done.append(_run(arm, seed, images, reference, chosen))
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(done[-1])) + "\n")
                print(done[-1], flush=True)
    (chosen.out / "table.md").write_text("\n".join(table(done)) + "\n", encoding="utf-8")
    draw_curves(done, extractor.name, chosen.out / "curves.png")
    print("\n".join(table(done)))


def chosen_arms(parts: Sequence[str], images: ImageSet) -> list[Arm]:
    """Those with one of ``parts`` in their names, or all, that can be trained on these images."""
    named = [arm for arm in ARMS if not parts or any(part in arm.name for part in parts)]
    for arm in named:
        if images.classes < arm.least_classes:
            has = f"needs {arm.least_classes} classes, and the data set has {images.classes or 'none'}"
            print(f"left out: {arm.name!r} {has}")
    return [arm for arm in named if images.classes >= arm.least_classes]


def settings_of(chosen: argparse.Namespace, images: ImageSet, extractor: Extractor) -> dict[str, object]:
    """All that must be the same for figures to stand in one table."""
    settings = {name: getattr(chosen, name) for name in SETTINGS}
    return {**settings, "images": images.fingerprint.digest[:12], "extractor": extractor.digest[:12]}


def keep_settings(out: Path, settings: dict[str, object]) -> None:
    """Writes them into a new folder. Raises SystemExit if what is there was made with others."""
    path = out / "settings.json"
    out.mkdir(parents=True, exist_ok=True)
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept != settings:
            names = sorted(name for name in {*kept, *settings} if kept.get(name) != settings.get(name))
            other = ", ".join(f"{name} {kept.get(name)} and not {settings.get(name)}" for name in names)
            raise SystemExit(f"the figures in {out} are of {other}: give another folder as --out")
    elif (out / "results.jsonl").exists():
        raise SystemExit(f"nobody knows of which settings the figures in {out} are: give another --out")
    else:
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _run(arm: Arm, seed: int, images: ImageSet, reference: Reference, chosen: argparse.Namespace) -> Result:
    config, steps = _training(arm, seed, chosen)
    began = time.perf_counter()
    swarm = Swarm(arm, config, images, steps)
    fids: list[float] = []
    for share in swarm.rounds():
        if share * LOOKS >= len(fids) + 1:
            fids.append(_fid(reference, Generator(swarm.config, swarm.ema), chosen.scored))
    if seed == chosen.seeds[0]:
        name = "".join(letter if letter.isalnum() else "-" for letter in arm.name)
        write_grid(Generator(swarm.config, swarm.ema).sample(36), chosen.out / f"{name}.png")
    return Result(arm.name, seed, tuple(fids), swarm.images, swarm.rejected, time.perf_counter() - began)


def _training(arm: Arm, seed: int, chosen: argparse.Namespace) -> tuple[GanConfig, int]:
    """Settings of each peer, and its steps."""
    if arm.preset is None:
        model = {"width": chosen.width, "latent_dim": 32, "resolution": chosen.resolution}
        rates = {"lr_g": chosen.rate, "lr_d": chosen.rate}
        values = {"model": model, "optimizer": rates, "microbatch": chosen.batch, "seed": seed}
        return GanConfig.model_validate(values), chosen.steps
    preset = preset_values(arm.preset)
    own = {"width": chosen.width, "resolution": chosen.resolution}
    config = GanConfig.model_validate({**preset, "model": {**preset["model"], **own}, "seed": seed})
    return config, chosen.steps * chosen.batch * CLEAN.peers // config.step_images


def _fid(reference: Reference, generator: Generator, count: int) -> float:
    return round(reference.compare(generator.batches(count), ("fid",)).scores[0].value, 3)


def gap_closed(done: Sequence[Result], arm: str) -> list[float]:
    """Of each seed with which the arm and both references were trained."""
    fid = {(one.arm, one.seed): one.fids[-1] for one in done}
    seeds = sorted({seed for name, seed in fid if name == arm})
    gaps = {s: fid[ONE.name, s] - fid[FOUR_TIMES.name, s] for s in seeds if _has_both(fid, s)}
    return [(fid[ONE.name, seed] - fid[arm, seed]) / gap for seed, gap in gaps.items() if gap]


def _has_both(fid: dict[tuple[str, int], float], seed: int) -> bool:
    return (ONE.name, seed) in fid and (FOUR_TIMES.name, seed) in fid


def table(done: Sequence[Result]) -> Iterator[str]:
    """Rows in Markdown, in the order of the arms."""
    yield "| arm | FID | of the clean arm's | gap closed | images | left out | seeds |"
    yield "|---|---|---|---|---|---|---|"
    clean = {one.seed: one.fids[-1] for one in done if one.arm == CLEAN.name}
    for arm in ARMS:
        own = [one for one in done if one.arm == arm.name]
        if not own:
            continue
        ratios = [one.fids[-1] / clean[one.seed] for one in own if one.seed in clean]
        fid, gap = spread([one.fids[-1] for one in own], 1), spread(gap_closed(done, arm.name), 2)
        counts = f"{own[0].images:,} | {own[0].rejected} | {len(own)}"
        yield f"| {arm.name} | {fid} | {spread(ratios, 2)} | {gap} | {counts} |"


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and standard deviation; the latter only of several."""
    if not values:
        return ""
    around = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{around}"


def draw_curves(done: Sequence[Result], extractor: str, path: Path) -> None:
    """FID over the training: the mean of the seeds of each arm."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_prop_cycle(color=colormaps["tab20"](range(20)))
    for arm in ARMS:
        own = [one.fids for one in done if one.arm == arm.name and len(one.fids) == LOOKS]
        if own:
            shares = [(look + 1) / LOOKS for look in range(LOOKS)]
            line = ":" if arm.bad else "--" if arm in (ONE, FOUR_TIMES) else "-"
            axes.plot(shares, [mean(values) for values in zip(*own, strict=True)], line, label=arm.name)
    axes.set(xlabel="share of the steps", ylabel=f"FID ({extractor})", yscale="log")
    axes.grid(alpha=0.3)
    if axes.lines:
        figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=100)


def idx_images(folder: Path) -> ImageSet:
    """Fashion-MNIST out of its four published files' first two, with a black margin to 32 px."""
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        greys = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    squares = np.pad(greys, ((0, 0), (2, 2), (2, 2)))[:, None].repeat(3, axis=1)
    return ImageSet(np.ascontiguousarray(squares), labels.tolist())


def _opened(chosen: argparse.Namespace) -> ImageSet:
    files = chosen.dataset == "fashion-mnist" and (chosen.data_root / "train-images-idx3-ubyte.gz").is_file()
    if files and chosen.resolution == PADDED:
        return idx_images(chosen.data_root)
    return open_images(chosen.dataset, chosen.resolution, chosen.data_root)


def _read(path: Path) -> list[Result]:
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Result(**{**row, "fids": tuple(row["fids"])}) for row in rows]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dataset", default="fashion-mnist", help="or zip:cifar10-train.zip, zip:celeba10k.zip"
    )
    parser.add_argument("--data-root", type=Path, default=DEBIAN, help="Debian's files, or torchvision's")
    parser.add_argument("--resolution", type=int, default=PADDED, help="pixels of a side: 32, 64 or 128")
    parser.add_argument("--steps", type=int, default=200, help="of each peer")
    parser.add_argument("--batch", type=int, default=8, help="b")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of both networks")
    parser.add_argument("--width", type=int, default=8, help="of the dcgan")
    parser.add_argument("--scored", type=int, default=1000, help="images drawn for a score, and real ones")
    parser.add_argument(
        "--extractor", type=Path, help="a TorchScript file as `p2pgan score` takes it; its code is run"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="*", default=[], help="only those with one of these in their names")
    parser.add_argument("--out", type=Path, default=Path("quality"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
