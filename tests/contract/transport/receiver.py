"""A peer in a process of its own, to be killed: ``hold`` keeps what comes, ``send`` sends without an end."""

from __future__ import annotations

import queue
import sys
import threading

from p2pgan.protocol.messages import BlobHeader, BlobKind
from p2pgan.transport import Arrival, BlobArrived, PeerAddress, Transport, new_keys

LENGTH = 100_000

if __name__ == "__main__":
    other, control, bulk, what = sys.argv[1:]
    arrivals: queue.Queue[Arrival] = queue.Queue()
    keys = new_keys()
    transport = Transport(keys, deliver=arrivals.put)
    address = transport.start()
    transport.set_peers({other: PeerAddress(control, bulk)})
    print(keys.public, address.control, address.bulk, flush=True)
    kept, index, pause = [], 0, threading.Event()
    while True:
        if what == "hold":
            arrival = arrivals.get()
            if isinstance(arrival, BlobArrived):
                kept.append(arrival)
                print("held", flush=True)
        else:
            payload = transport.allocate(LENGTH)
            payload[:] = b"x" * LENGTH
            header = BlobHeader(
                run="r", term=1, kind=BlobKind.SLICE, round=1, attempt=1, index=index, codec="fp16",
                length=LENGTH, digest="",
            )  # fmt: skip
            transport.send_blob(other, header, payload)
            index += 1
            pause.wait(0.05)
