"""hivemind's averager, over TLS as it is. Needs an interpreter of its own; see docs/performance.md."""

from __future__ import annotations

import hivemind
import torch
from hivemind.compression import Float16Compression, NoCompression
from serve import ask, serve, task
from torch import Tensor

COMPRESSION = {"fp16": Float16Compression, "fp32": NoCompression}

if __name__ == "__main__":
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
