"""torch.distributed's all_reduce over gloo, unencrypted, in float32."""

from __future__ import annotations

import torch.distributed as distributed
from serve import serve, task
from torch import Tensor

if __name__ == "__main__":
    job = task()
    store = f"file://{job['folder']}/gloo"
    distributed.init_process_group("gloo", init_method=store, rank=job["place"], world_size=job["n"])

    def average(_number: int, vector: Tensor) -> Tensor:
        """The mean of all members' vectors."""
        mean = vector.clone()  # it works in place, and a peer keeps what it sent
        distributed.all_reduce(mean)
        return mean.div_(job["n"])

    serve(average, job["place"], job["elements"])
    distributed.destroy_process_group()
