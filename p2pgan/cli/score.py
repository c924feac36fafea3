"""``p2pgan score``: how good the images of a generator are, in figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.bar import IMAGES_FROM, shown_progress
from p2pgan.cli.drawn import Drawing, Version, Weights, drawn_from
from p2pgan.errors import ConfigError
from p2pgan.protocol.texts import printable

if TYPE_CHECKING:
    from p2pgan.gan.scores.features import Extractor
    from p2pgan.gan.scores.score import Score, Scores

BUILTIN = "builtin"
INCEPTION = "inception"


def score(
    context: typer.Context,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            metavar="SPEC",
            help="Real images: digits, mnist, fashion-mnist, cifar10, celeba, folder:PATH or zip:PATH.",
        ),
    ],
    rendezvous: o.OptionalRendezvous = None,
    weights: Weights = None,
    run: o.RunName = None,
    version: Version = None,
    metric: Annotated[
        str,
        typer.Option(
            "--metric", metavar="NAMES", help="fid, kid, pr (precision and recall), with commas between them."
        ),
    ] = "fid,kid,pr",
    number: Annotated[
        int,
        typer.Option(
            "-n",
            "--n",
            "--number",
            metavar="N",
            min=8,
            help="How many images to draw, and real ones to take at most.",
        ),
    ] = 10_000,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="The same seed gives the same scores.")
    ] = 1,
    extractor: Annotated[
        str,
        typer.Option(
            "--extractor",
            metavar="NAME|FILE",
            help="builtin (a small classifier), inception, or a TorchScript file, whose code is run.",
        ),
    ] = BUILTIN,
    inception_weights: Annotated[
        Path | None,
        typer.Option("--inception-weights", metavar="FILE", help="The weights of --extractor inception."),
    ] = None,
    resize: Annotated[
        int | None,
        typer.Option(
            "--resize", metavar="PIXELS", min=1, max=1024, help="What a TorchScript file gets, of each side."
        ),
    ] = None,
    model: o.OwnNet = None,
    data_root: o.DataRoot = None,
    download: Annotated[
        bool,
        o.option("--download", help="Download a missing torchvision data set, or Inception's weights."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with documented keys.")] = False,
    debug: o.Debug = False,
) -> None:
    """Score drawn images against real ones: FID, KID, precision and recall, on features of a classifier.

    Beside each figure stands what one half of the real images scores against the other. Figures compare
    only with those of the same extractor, data set, resolution and number of images. A TorchScript
    file is a program that runs with your rights: take it from people you trust only.

    Example: p2pgan score --weights digits/generator.safetensors --dataset digits --metric fid,kid -n 2000
    """
    from p2pgan.gan.data import open_images
    from p2pgan.gan.scores.score import Reference, parse_metrics

    metrics = parse_metrics(metric)
    features = _extractor(extractor, inception_weights, resize, download)
    drawn = drawn_from(context, Drawing(rendezvous, weights, run, version, model, device="cpu"))
    images = open_images(dataset, drawn.generator.config.model.resolution, data_root, download)
    reference = Reference(images, number, features, seed)
    batches = drawn.generator.batches(number, seed)
    scores = reference.compare(shown_progress(batches, "drawing", number, IMAGES_FROM, len), metrics)
    source = printable(drawn.origin or str(weights))
    if as_json:
        typer.echo(json.dumps(_facts(scores, source, dataset, seed), indent=2))
    else:
        _print(scores, source, dataset, seed)


def _extractor(name: str, weights: Path | None, resize: int | None, download: bool) -> Extractor:
    """Raises ConfigError if there is none of that name, or a flag is for another one."""
    if weights is not None and name != INCEPTION:
        raise ConfigError("--inception-weights is for --extractor inception; leave one out or add the other")
    if resize is not None and name in (BUILTIN, INCEPTION):
        raise ConfigError(f"--resize is for a TorchScript file: the size for {name} is fixed; leave it out")
    if name == BUILTIN:
        from p2pgan.gan.scores.builtin import builtin_extractor

        return builtin_extractor()
    from p2pgan.gan.scores.foreign import inception_extractor, inception_weights, torchscript_extractor

    if name != INCEPTION:
        return torchscript_extractor(Path(name), resize)
    return inception_extractor(inception_weights(download) if weights is None else weights)


def _facts(scores: Scores, source: str, dataset: str, seed: int) -> dict[str, object]:
    figures = {
        one.name: {"value": one.value, "floor": one.floor}
        | ({"interval": list(one.interval)} if one.interval else {})
        for one in scores.scores
    }
    return {
        "scores": figures,
        "n": scores.drawn,
        "seed": seed,
        "source": source,
        "reference": {
            "dataset": dataset,
            "n": scores.reference,
            "half": scores.half,
            "count": scores.images.count,
            "digest": scores.images.digest,
        },
        "resize": scores.resize,
        "extractor": {
            "name": scores.extractor.name,
            "digest": scores.extractor.digest,
            "features": scores.features,
        },
        "warnings": list(scores.warnings),
    }


def _print(scores: Scores, source: str, dataset: str, seed: int) -> None:
    known = scores.images
    for one in scores.scores:
        typer.echo(_line(one))
    typer.echo(f"drawn: {scores.drawn:,} images with seed {seed} from {source}")
    typer.echo(
        f"reference: {scores.reference:,} of the {known.count:,} images of {printable(dataset)}, "
        f"BLAKE3 {known.digest}"
    )
    typer.echo(f"floor: {scores.half:,} real images against {scores.half:,} others")
    typer.echo(f"resize: {scores.resize}")
    typer.echo(
        f"extractor: {scores.extractor.name}, {scores.features:,} features, BLAKE3 {scores.extractor.digest}"
    )
    for warning in scores.warnings:
        typer.echo(f"warning: {warning}")


def _line(one: Score) -> str:
    """Such as ``FID 12.3, floor 0.4``."""
    title = one.name.upper() if one.name in ("fid", "kid") else one.name
    between = ""
    if one.interval is not None:
        low, high = one.interval
        between = f" (95% bootstrap interval {low:.5f} to {high:.5f})"
    digits = {"fid": 3, "kid": 5}.get(one.name, 3)
    return f"{title} {one.value:.{digits}f}{between}, floor {one.floor:.{digits}f}"
