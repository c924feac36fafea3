"""What slow attackers cost an honest exchange: the same exchange with and without them, in turns.

Run it as it is: ``python scripts/bench_attacks.py [PAIRS]``. Two transports on the loopback send each other
vectors; every other time, half-open handshakes, a peer that never reads and a sender that stalls in
the middle of a shard are there as well. It prints the ratio of each pair, whose median counts.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from p2pgan.transport import codec  # noqa: E402
from p2pgan.transport.limits import FRAME_BYTES  # noqa: E402
from p2pgan.transport.seal import FrameKind, Sealer  # noqa: E402
from tests.attacks.scene import acquaint, endpoint, offer  # noqa: E402
from tests.contract.transport.parties import Party, RawPeer, header_of, note  # noqa: E402

VECTOR = os.urandom(24 << 20)
VECTORS = 30
"""Exchanged one after the other, some seconds: about a round, whose start the attackers' arrival disturbs."""
HALF_OPEN = 300
BOUND = 1.1


def exchange(a: Party, b: Party) -> float:
    """Seconds for a few vectors each way, at the same time."""
    begun = time.perf_counter()
    for number in range(VECTORS):
        a.send_blob(b, VECTOR, number)
        b.send_blob(a, VECTOR, number)
        a.next_blob()
        b.next_blob()
    return time.perf_counter() - begun


def attack(stack: ExitStack, target: Party, slow: RawPeer, number: int) -> None:
    """Everything that is slow, until ``stack`` ends."""
    for port in (target.address.control, target.address.bulk):
        for _ in range(HALF_OPEN // 2):
            stack.enter_context(socket.create_connection(endpoint(port), timeout=20)).sendall(
                b"\xff" + bytes(8)
            )
    key = offer(number)
    slow.agree(slow.control_to(target), key)
    sealer = Sealer(key.key_id, key.key, window=2)
    bulk = slow.bulk_to(target, key.key_id)
    bulk.send(bytes(sealer.seal(FrameKind.BEGIN, codec.encode(header_of(VECTOR)))))
    bulk.send(bytes(sealer.seal(FrameKind.PART, VECTOR[:FRAME_BYTES])))
    for _ in range(1000):
        target.transport.send(slow.id, note())


def main() -> int:
    """The exit status: 0 if the attacked exchange is less than a tenth slower."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    target, honest, slow = Party(), Party(), RawPeer()
    try:
        acquaint(target, honest, slow)
        exchange(target, honest)
        calm, attacked = [], []
        for number in range(pairs):
            calm.append(exchange(target, honest))
            with ExitStack() as stack:
                attack(stack, target, slow, number % 256)
                attacked.append(exchange(target, honest))
    finally:
        target.transport.close()
        honest.transport.close()
        slow.close()
    ratios = sorted(a / c for a, c in zip(attacked, calm, strict=True))
    print(f"{pairs} pairs of exchanges of {VECTORS} x 2 x {len(VECTOR) >> 20} MiB in one process")
    print(f"medians: calm {median(calm) * 1e3:.0f} ms, attacked {median(attacked) * 1e3:.0f} ms")
    print(f"ratio by pair: median {median(ratios):.3f}, from {ratios[0]:.3f} to {ratios[-1]:.3f}")
    return 0 if median(ratios) < BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
