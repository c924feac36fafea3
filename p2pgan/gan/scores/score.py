"""Scores of a generator against a set of real images, with all that has to be said beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from p2pgan.errors import ConfigError, DatasetError
from p2pgan.gan.data import Fingerprint, ImageSet
from p2pgan.gan.randomness import derive_seed, epoch_permutation
from p2pgan.gan.scores.features import Extractor, features_of, real_batches
from p2pgan.gan.scores.fid import frechet_distance
from p2pgan.gan.scores.kid import bootstrap_interval, kernel_distance
from p2pgan.gan.scores.precision_recall import NEIGHBOUR, precision_and_recall
from p2pgan.protocol.texts import counted, shortened

METRICS = ("fid", "kid", "pr")
LEAST_IMAGES = NEIGHBOUR + 1
"""Of a set."""
SURE_FROM = 10_000
"""With fewer images a KID has an interval."""


@dataclass(frozen=True)
class Score:
    """One figure."""

    name: str
    """fid, kid, precision or recall."""
    value: float
    """Drawn against real images."""
    floor: float
    """One half of the real images against the other: what remains to be seen of a perfect generator."""
    interval: tuple[float, float] | None = None
    """Between which 95% of the bootstrap samples are."""


@dataclass(frozen=True)
class Scores:
    """All figures of one comparison, and under which conditions they hold."""

    scores: tuple[Score, ...]
    drawn: int
    """Images."""
    reference: int
    """Real images they are compared with."""
    half: int
    """Images of each half of these."""
    images: Fingerprint
    """Of all real images."""
    resize: str
    extractor: Extractor
    features: int
    warnings: tuple[str, ...]


def parse_metrics(text: str) -> tuple[str, ...]:
    """The metrics in a list with commas, each once. Raises ConfigError for an unknown one, or none."""
    named = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in named if name not in METRICS]
    if unknown or not named:
        what = f"there is no metric {shortened(unknown[0])!r}" if unknown else "no metric is named"
        raise ConfigError(f"{what}; choose from {', '.join(METRICS)}, with commas between them")
    return named


class Reference:
    """Features of real images: at most so many of a set, chosen by the seed."""

    def __init__(self, images: ImageSet, most: int, extractor: Extractor, seed: int) -> None:
        """Raises DatasetError if there are too few, ConfigError if the extractor is not fit."""
        count = min(most, images.count)
        if count < 2 * LEAST_IMAGES:
            raise DatasetError(
                f"{counted(count, 'real image')} cannot be compared: "
                f"scores need {2 * LEAST_IMAGES}, half of them against the other"
            )
        order = epoch_permutation(derive_seed(seed, "reference"), 0, images.count)
        self.features = features_of(extractor, real_batches(images, order[:count]))
        self.halves = self.features.tensor_split([count // 2, count // 2 * 2])[:2]
        self.images, self.extractor, self.seed = images, extractor, seed

    def compare(self, batches: Iterable[Tensor], metrics: Sequence[str]) -> Scores:
        """The scores of drawn images, uint8 ``(?, 3, R, R)``, against these."""
        drawn = features_of(self.extractor, batches)
        scores = tuple(score for metric in metrics for score in self._scores(metric, drawn))
        return Scores(
            scores=scores,
            drawn=len(drawn),
            reference=len(self.features),
            half=len(self.halves[0]),
            images=self.images.fingerprint,
            resize=self.extractor.resize(self.images.resolution),
            extractor=self.extractor,
            features=drawn.shape[1],
            warnings=tuple(self._warnings(metrics, drawn)),
        )

    def _scores(self, metric: str, drawn: Tensor) -> tuple[Score, ...]:
        real, (first, second) = self.features, self.halves
        if metric == "fid":
            return (Score("fid", frechet_distance(drawn, real), frechet_distance(first, second)),)
        if metric == "kid":
            unsure = min(len(drawn), len(real)) < SURE_FROM
            interval = bootstrap_interval(drawn, real, self.seed) if unsure else None
            value = kernel_distance(drawn, real, self.seed)
            return (Score("kid", value, kernel_distance(first, second, self.seed), interval),)
        precision, recall = precision_and_recall(drawn, real)
        precision_of_half, recall_of_half = precision_and_recall(first, second)
        return (
            Score("precision", precision, precision_of_half),
            Score("recall", recall, recall_of_half),
        )

    def _warnings(self, metrics: Sequence[str], drawn: Tensor) -> Iterable[str]:
        if "fid" not in metrics:
            return
        width = drawn.shape[1]
        sets = {"drawn images": drawn, "real images": self.features, "images of a half": self.halves[0]}
        few = [f"{len(features):,} {name}" for name, features in sets.items() if len(features) <= width]
        if few:
            yield (
                f"FID is biased upwards: {', '.join(few)} are too few for {width:,} features; "
                "compare it with figures of equally many images only"
            )
