"""The images of this machine, and whether they are the run's."""

from __future__ import annotations

from pathlib import Path

from p2pgan.errors import DatasetError, Trouble, more_about
from p2pgan.peer.config import RunConfig, stored_config
from p2pgan.peer.doctor.finding import Finding, failing
from p2pgan.protocol.texts import counted
from p2pgan.rendezvous import RunRow


def image_findings(
    spec: str, data_root: Path | None, run: RunRow | None, own_sharding: str | None = None
) -> list[Finding]:
    """Count and fingerprint of the images that ``spec`` names, decoded at the run's resolution."""
    from p2pgan.gan.data import open_images, run_fingerprint, training_images
    from p2pgan.gan.sharding import use_own_sharding

    findings: list[Finding] = []
    with failing(findings, "dataset"):
        if own_sharding is not None:
            use_own_sharding(own_sharding)
        config = (RunConfig() if run is None else stored_config(run.config)).gan
        images = training_images(config, open_images(spec, config.model.resolution, data_root))
        mine = run_fingerprint(config, images)
        text = f"{counted(mine.count, 'image')} at {mine.resolution} px, digest {mine.digest[:12]}"
        facts = {"count": mine.count, "resolution": mine.resolution, "digest": mine.digest}
        if run is None:
            findings.append(Finding("dataset", "ok", text, facts))
        elif facts == run.dataset:
            findings.append(Finding("dataset", "ok", f"{text}, those of the run {run.name}", facts))
        else:
            theirs = f"{run.dataset['count']} with {run.dataset['digest'][:12]}"
            text = f"{text}, not those of the run {run.name}, {theirs}: point --dataset to the same images"
            text = more_about(text, Trouble.IMAGES)
            findings.append(Finding("dataset", "mend", text, {**facts, "run": run.dataset}))
    return findings


def place_findings(data_root: Path | None, run: RunRow) -> list[Finding]:
    """Whether the images lie where the run says; nothing is decoded."""
    from p2pgan.gan.sources import open_source

    findings: list[Finding] = []
    with failing(findings, "dataset"):
        spec = stored_config(run.config).dataset
        try:
            open_source(spec, data_root)
        except DatasetError as error:
            text = f"{error.told}; the run has them there, so say with --dataset where they are here"
            return [Finding("dataset", "mend", text, {"compared": False})]
        text = f"{spec} is here, as the run says; to have the images compared give --dataset {spec}"
        findings.append(Finding("dataset", "ok", text, {"compared": False}))
    return findings
