"""The generator in a file: safetensors, with the configuration in its metadata.

A file is foreign input. It is only ever read as safetensors (no code can hide in it), and checked
against the networks that its own configuration describes before a tensor is used.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from p2pgan.averaging.finite import is_finite
from p2pgan.averaging.flatten import Entry
from p2pgan.errors import ConfigError, WeightsError
from p2pgan.gan.config import GanConfig, parse_config
from p2pgan.gan.models import layout_for
from p2pgan.gan.output import write_whole
from p2pgan.protocol.texts import shortened

FORMAT = "p2pgan-generator-1"
MAX_HEADER_BYTES = 1 << 20
MAX_FILE_BYTES = 4 << 30


@dataclass(frozen=True)
class GeneratorWeights:
    """What a weights file holds."""

    config: GanConfig
    vector: Tensor
    """The generator's parameters in canonical order: float32, 1-D."""
    facts: Mapping[str, str]
    """What else the writer noted: run, version, digest, images."""


def save_generator(path: Path, config: GanConfig, vector: Tensor, facts: Mapping[str, str]) -> None:
    """Writes a generator's parameters; the file appears under its name when it is complete.

    ``facts`` are kept beside the configuration. Raises WeightsError if the vector does not fit the
    configuration or is not finite, ConfigError if the file cannot be written.
    """
    write_whole(path, generator_bytes(config, vector, facts))


def generator_bytes(config: GanConfig, vector: Tensor, facts: Mapping[str, str]) -> bytes:
    """What such a file holds. Raises WeightsError as above."""
    entries = _generator_entries(config)
    if tuple(vector.shape) != (entries[-1].stop,) or not is_finite(vector):
        raise WeightsError(f"weights of shape {tuple(vector.shape)} are not those of a sound generator")
    vector = vector.detach().to("cpu", torch.float32)
    tensors = {e.name: vector[e.start : e.stop].view(e.shape).contiguous() for e in entries}
    metadata = {**facts, "format": FORMAT, "config": config.model_dump_json()}
    return save(tensors, metadata)


def load_generator(path: Path) -> GeneratorWeights:
    """Reads and checks a weights file.

    Raises WeightsError, one line, for anything but a sound file: missing, empty, truncated,
    another format (a pickle, say), unknown configuration, missing or foreign tensors, numbers that
    are not finite.
    """
    content = _read_bounded(path)
    metadata = _read_metadata(path, content)
    config = _config_of(path, metadata)
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is corrupt ({error}); export it again") from error
    entries = _generator_entries(config)
    if tensors.keys() != {entry.name for entry in entries}:
        raise WeightsError(f"{path} does not hold the tensors of its own configuration; export it again")
    vector = torch.cat([_checked(path, entry, tensors[entry.name]) for entry in entries])
    facts = {key: value for key, value in metadata.items() if key not in ("format", "config")}
    return GeneratorWeights(config, vector, facts)


def _generator_entries(config: GanConfig) -> tuple[Entry, ...]:
    return layout_for(config.model).entries_of("G")


def _checked(path: Path, entry: Entry, tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float32 or tuple(tensor.shape) != entry.shape:
        raise WeightsError(f"{path}: {entry.name} is {tensor.dtype} {tuple(tensor.shape)}, not {entry.shape}")
    if not is_finite(tensor):
        raise WeightsError(f"{path}: {entry.name} holds numbers that are not finite; export it again")
    return tensor.reshape(-1)


def _read_bounded(path: Path) -> bytes:
    """Never more than the file said it has: a device has no end, and a pipe waits for its writer."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise WeightsError(f"{path} is no file; check --weights")
        if facts.st_size > MAX_FILE_BYTES:
            raise WeightsError(f"{path} is larger than any generator; it is refused")
        with path.open("rb") as file:
            content = file.read(facts.st_size + 1)
    except OSError as error:
        name = shortened(str(path))
        raise WeightsError(f"{name} cannot be read ({error.strerror}); check --weights") from error
    if len(content) > facts.st_size:
        raise WeightsError(f"{path} grows while it is read; try again when it is complete")
    return content


def _read_metadata(path: Path, content: bytes) -> dict[str, str]:
    """The header's string table; its size is checked before it is parsed."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, len(content) - 8):
        raise WeightsError(f"{path} is no safetensors file, or is cut short; export it again")
    try:
        header: Any = json.loads(content[8 : 8 + length])
        metadata = header["__metadata__"]
        if metadata["format"] != FORMAT:
            raise KeyError("format")
        return {str(key): str(value) for key, value in metadata.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is no generator of p2pgan; make one with 'p2pgan export'") from error


def _config_of(path: Path, metadata: Mapping[str, str]) -> GanConfig:
    try:
        return parse_config(metadata.get("config", ""))
    except ConfigError as error:
        raise WeightsError(f"{path} holds a configuration that is not understood: {error}") from error
