"""The page that a published generator introduces itself with: a model card, as the hub shows it.

Most of its facts are words of others (a run's name, a licence), so none may become Markdown or YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p2pgan.errors import ConfigError
from p2pgan.gan.config import GanConfig
from p2pgan.protocol.texts import printable, shortened

MAX_SCORES = 32
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Figure:
    """One score, as ``p2pgan score --json`` tells it."""

    name: str
    value: float
    floor: float


@dataclass(frozen=True)
class Scored:
    """Scores and what they hold for."""

    figures: tuple[Figure, ...]
    drawn: int
    dataset: str
    """Empty for the images that were trained on."""
    extractor: str
    source: str
    """Whose they are, for people."""
    is_earlier: bool = False
    """Whether ``source`` is not what is published, but what it was some time before."""


@dataclass(frozen=True)
class Facts:
    """What a card tells beside the configuration; None or empty where nobody knows."""

    run: str
    version: int | None
    images: int | None
    peers: int | None
    """That contributed."""
    dataset: str
    data_license: str
    digest: str
    """Of the generator's weights."""
    scored: Scored | None


def parse_scores(text: bytes, name: str) -> Scored:
    """What ``p2pgan score --json`` printed. Raises ConfigError if it is anything else."""
    try:
        told = json.loads(text)
        figures = tuple(
            Figure(str(key), float(one["value"]), float(one["floor"])) for key, one in told["scores"].items()
        )
        if len(figures) > MAX_SCORES:
            raise ValueError("too many scores")
        reference, extractor = str(told["reference"]["dataset"]), str(told["extractor"]["name"])
        return Scored(figures, int(told["n"]), reference, extractor, str(told["source"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise ConfigError(f"{name} is not what 'p2pgan score --json' prints; make it anew") from error


def model_card(repo: str, config: GanConfig, facts: Facts, license_id: str | None) -> str:
    """The card, Markdown with a head in YAML; ``license_id`` of the weights, as the hub names it."""
    lines = ["---", "library_name: p2pgan", "pipeline_tag: unconditional-image-generation"]
    if license_id is not None:
        lines.append(f'license: "{license_id}"')
    lines += ["tags:", "- gan", "- image-generation", "- p2pgan", "---", ""]
    lines += [f"# {_plain(repo)}", "", _introduction(config, facts), "", "![samples](samples.png)", ""]
    lines += [
        "| fact | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in _rows(config, facts).items()),
    ]
    if facts.scored is not None:
        lines += ["", *_scores(facts.scored)]
    lines += ["", "## Drawing from it", "", "```bash", "pip install 'p2pgan[hub]'"]
    lines += [f"p2pgan generate --weights hf:{repo} -n 64 --out images.png", "```", "", "```python"]
    lines += ["from p2pgan import load_generator", ""]
    lines += [f'images = load_generator("hf:{repo}").sample(64, seed=1)  # uint8, (64, 3, H, W)', "```", ""]
    return "\n".join(lines)


def _introduction(config: GanConfig, facts: Facts) -> str:
    size = config.model.resolution
    peers = f" by {facts.peers:,} peers that averaged what they learned" if facts.peers else ""
    return f"A generator of {size} x {size} images, trained{peers} with p2pgan."


def _rows(config: GanConfig, facts: Facts) -> Mapping[str, str]:
    model = config.model
    classes = f", {model.num_classes} classes" if model.num_classes else ""
    rows = {
        "net": f"{_plain(model.name)}, width {model.width}, noise of {model.latent_dim}{classes}",
        "loss": config.loss.name,
        "run": _plain(facts.run) if facts.run else None,
        "version": _number(facts.version),
        "peers that contributed": _number(facts.peers),
        "images trained on": _number(facts.images),
        "data set": _plain(facts.dataset) if facts.dataset else None,
        "licence of the data": _plain(facts.data_license) if facts.data_license else NOT_STATED,
        "digest of the weights": f"BLAKE3 {facts.digest}",
    }
    return {key: value for key, value in rows.items() if value is not None}


def _scores(scored: Scored) -> Sequence[str]:
    whose = f" of {_plain(scored.source)}, before it was trained on," if scored.is_earlier else ""
    dataset = _plain(scored.dataset) if scored.dataset else "the data set"
    text = (
        f"{scored.drawn:,} drawn images{whose} against those of {dataset}, on features of "
        f"{_plain(scored.extractor)}. The floor is what real images score against each other."
    )
    rows = [f"| {_plain(one.name)} | {one.value:.5g} | {one.floor:.5g} |" for one in scored.figures]
    return ["## Scores", "", text, "", "| score | value | floor |", "|---|---|---|", *rows]


def _number(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _plain(text: str) -> str:
    """``text`` as nothing but text: what Markdown or HTML would obey is escaped."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&@:])", r"\\\1", printable(shortened(text)))
