"""Whether a peer could listen here, tried without being one."""

from __future__ import annotations

import zmq

from p2pgan.transport.sockets import advertised, bind


def free_ports(host: str, port: int = 0) -> tuple[int, int]:
    """Binds the control port and the bulk port after it, or any two for 0, and lets them go again.

    Raises:
        ConfigError: a port is taken or not permitted, or the machine has no such address.
    """
    with zmq.Context() as context, context.socket(zmq.ROUTER) as control, context.socket(zmq.ROUTER) as bulk:
        control.linger = bulk.linger = 0
        return bind(control, host, port), bind(bulk, host, port + 1 if port else 0)


def told_address(bind_host: str, advertise_host: str | None = None) -> str:
    """The host that other peers would be told to dial. Raises ConfigError if it cannot be found out."""
    return advertised(bind_host, advertise_host)
