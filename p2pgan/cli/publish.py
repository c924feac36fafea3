"""``p2pgan publish``: give a generator away, on the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgan.cli import options as o
from p2pgan.cli.drawn import Version, version_of
from p2pgan.cli.sources import by_flag
from p2pgan.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from p2pgan.gan.card import Scored
    from p2pgan.gan.config import GanConfig
    from p2pgan.rendezvous import ScoreRow

GRID_IMAGES = 64
GRID_SEED = 1
MAX_SCORES_BYTES = 1 << 20
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


@dataclass(frozen=True)
class _Given:
    """The generator, and what is known of it."""

    config: GanConfig
    vector: Tensor
    run: str
    version: int | None
    images: int | None
    peers: int | None
    dataset: str
    facts: Mapping[str, str]
    """Kept in the weights file."""
    names: tuple[str, ...]
    """What scores of it say that they are of."""
    scored: Scored | None = None
    """What its run has of scores."""


def publish(
    context: typer.Context,
    repo: Annotated[
        str, typer.Option("--repo", metavar="USER/NAME", help="The repository; it is made if need be.")
    ],
    rendezvous: o.OptionalRendezvous = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="FILE", help="A .safetensors file, in place of a DSN."),
    ] = None,
    run: o.RunName = None,
    version: Version = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            "--scores",
            metavar="FILE",
            help="What p2pgan score --json printed for these weights; left out, what the run has.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="TEXT", help="What the images were that it was trained on, in words."),
    ] = None,
    data_license: Annotated[
        str | None,
        typer.Option("--data-license", metavar="TEXT", help="Their licence, in words."),
    ] = None,
    license_name: Annotated[
        str | None,
        typer.Option("--license", metavar="NAME", help="Licence of the weights, as the hub calls it: mit."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is for you alone.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the files into a folder, and upload nothing.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="That folder; left out, NAME of the repository."),
    ] = None,
    model: o.OwnNet = None,
    debug: o.Debug = False,
) -> None:
    """Publish the averaged generator with a model card and samples on the Hugging Face hub.

    Needs the extra p2pgan[hub], and a token: run hf auth login, or set HF_TOKEN. Everybody can then draw
    from it with generate --weights hf:USER/NAME.

    Example: p2pgan publish --repo ann/faces --weights faces.safetensors --data-license "CC BY 4.0" --dry-run
    """
    from p2pgan.gan.published import check_repo, upload

    check_repo(repo)
    if license_name is not None and not _LICENSE.fullmatch(license_name):
        raise ConfigError(f"--license {license_name!r} is no name the hub knows, such as mit or cc-by-4.0")
    folder = _folder(repo, dry_run, out)
    if model is not None:
        from p2pgan.gan.own import use_own_net

        use_own_net(model)
    given = _given(context, rendezvous, weights, run, version)
    scored = given.scored if scores is None else _read_scores(scores, given)
    files = _files(repo, given, scored, data, data_license, license_name)
    if folder is not None:
        _write(folder, files)
        typer.echo(f"{folder}: {', '.join(files)}; nothing was uploaded")
        return
    address = upload(repo, files, private, "A generator of p2pgan")
    typer.echo(f"{address}: {', '.join(files)}; draw with p2pgan generate --weights hf:{repo}")


def _folder(repo: str, dry_run: bool, out: Path | None) -> Path | None:
    """Where a dry run writes. Raises ConfigError if there is something already."""
    if not dry_run:
        if out is not None:
            raise ConfigError("--out is for --dry-run; leave one out or add the other")
        return None
    from p2pgan.gan.output import check_folder

    folder = out or Path(repo.partition("/")[2])
    check_folder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; choose another --out")
    return folder


def _given(
    context: typer.Context, rendezvous: str | None, weights: Path | None, run: str | None, version: str | None
) -> _Given:
    """What is to be published. Raises ConfigError if the flags contradict each other, or name nothing."""
    if weights is not None:
        for name in ("rendezvous", "run", "version"):
            if by_flag(context, name):
                raise ConfigError(f"--{name} and --weights both say what to publish; leave one out")
        return _from_file(weights)
    if rendezvous is None:
        raise ConfigError("say what to publish: --rendezvous DSN or --weights FILE")
    from p2pgan.peer.stored import read_facts, read_generator

    stored = read_generator(rendezvous, run, version_of(version))
    facts = read_facts(rendezvous, stored.run, stored.version)
    told = {
        "run": stored.run,
        "version": str(stored.version),
        "digest": stored.digest,
        "images": str(stored.images),
    }
    name = f"version {stored.version} of {stored.run}, {stored.images:,} images"
    return _Given(
        stored.config,
        stored.ema,
        stored.run,
        stored.version,
        stored.images,
        facts.peers,
        _public(facts.dataset),
        told,
        (name,),
        None if facts.score is None else _scored(facts.score, stored.version, _public(facts.dataset)),
    )


def _scored(score: ScoreRow, version: int, dataset: str) -> Scored:
    """What was scored while the run trained, on its own images."""
    from p2pgan.gan.card import Figure, Scored

    figures = (Figure("fid", score.fid, score.floor),)
    source = f"version {score.version}"
    return Scored(figures, score.images, dataset, score.extractor, source, score.version < version)


def _from_file(path: Path) -> _Given:
    from p2pgan.gan.weights import load_generator

    file = load_generator(path)
    facts = file.facts
    run, version, images = facts.get("run", ""), _whole(facts.get("version")), _whole(facts.get("images"))
    names = (str(path), f"version {version} of {run}, {images} images")
    return _Given(file.config, file.vector, run, version, images, None, "", facts, names)


def _whole(text: str | None) -> int | None:
    """A number out of a file's facts, which may be anything."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None


def _public(dataset: str) -> str:
    """The name of a data set; a path of somebody's machine is nobody else's business."""
    return "" if ":" in dataset else dataset


def _read_scores(path: Path, given: _Given) -> Scored:
    """Raises ConfigError unless they are scores of what is published."""
    from p2pgan.gan.card import parse_scores

    try:
        with path.open("rb") as file:
            scored = parse_scores(file.read(MAX_SCORES_BYTES), str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); check --scores") from error
    if scored.source not in given.names:
        raise ConfigError(
            f"{path} has scores of {scored.source}, not of {given.names[-1]}; score these weights"
        )
    return scored


def _files(
    repo: str,
    given: _Given,
    scored: Scored | None,
    data: str | None,
    data_license: str | None,
    license_name: str | None,
) -> dict[str, bytes]:
    """All that is published, by name."""
    from p2pgan.gan.card import Facts, model_card
    from p2pgan.gan.published import WEIGHTS
    from p2pgan.gan.sampling import Generator, grid_png
    from p2pgan.gan.weights import generator_bytes

    generator = Generator(given.config, given.vector)
    facts = Facts(
        run=given.run,
        version=given.version,
        images=given.images,
        peers=given.peers,
        dataset=given.dataset if data is None else data,
        data_license=data_license or "",
        digest=generator.digest,
        scored=scored,
    )
    return {
        WEIGHTS: generator_bytes(given.config, given.vector, given.facts),
        "config.json": given.config.model_dump_json(indent=2).encode() + b"\n",
        "README.md": model_card(repo, given.config, facts, license_name).encode(),
        "samples.png": grid_png(generator.sample(GRID_IMAGES, GRID_SEED)),
    }


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    from p2pgan.gan.output import write_whole

    for name, content in files.items():
        write_whole(folder / name, content)
