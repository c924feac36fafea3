"""hivemind's averager, over TLS as it is. Needs an interpreter of its own; see docs/performance.md."""

from __future__ import annotations

import hivemind
import numpy as np
import torch
from hivemind.compression import Float16Compression, NoCompression
from serve import ask, serve, task
from torch import Tensor

COMPRESSION = {"fp16": Float16Compression, "fp32": NoCompression}

NUMPY_BEFORE = (2, 4)
"""From there on hivemind's 8-bit codec fails and success is reported, so nothing it says can be trusted."""


def refuse_newer_numpy(version: str) -> None:
    """Raises SystemExit if hivemind does not work with that numpy."""
    if tuple(int(part) for part in version.split(".")[:2]) >= NUMPY_BEFORE:
        raise SystemExit(
            f"hivemind fails silently with numpy {version}: install 'numpy<2.4' where --hivemind points"
        )


if __name__ == "__main__":
    refuse_newer_numpy(np.__version__)
    job = task()
    dht = hivemind.DHT(start=True, host_maddrs=["/ip4/127.0.0.1/tcp/0"], initial_peers=job.get("peers", []))
    addresses = [str(address) for address in dht.get_visible_maddrs()]
    if job["place"]:
        dht.shutdown()
        told = ask(addresses=addresses)
        dht = hivemind.DHT(
            start=True, host_maddrs=["/ip4/127.0.0.1/tcp/0"], initial_peers=told[0]["addresses"]
        )
    else:
        ask(addresses=addresses)
    averager = hivemind.averaging.DecentralizedAverager(
        [torch.zeros(job["elements"])],
        dht,
        start=True,
        prefix="bench",
        target_group_size=job["n"],
        min_group_size=job["n"],
        min_matchmaking_time=0.5,
        request_timeout=0.4,
        compression=COMPRESSION[job["codec"]](),
    )

    def average(_number: int, vector: Tensor) -> Tensor:
        """The mean of all members' vectors."""
        with averager.get_tensors() as tensors:
            tensors[0].copy_(vector)
        averager.step(timeout=120)
        with averager.get_tensors() as tensors:
            mean: Tensor = tensors[0].clone()
            return mean

    serve(average, job["place"], job["elements"])
    averager.shutdown()
    dht.shutdown()
