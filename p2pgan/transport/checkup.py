"""Whether a peer could listen here, tried without being one."""

from __future__ import annotations

import secrets
import socket
import time
from contextlib import suppress

import zmq

from p2pgan.transport.sockets import advertised, bind

WAY_S = 3.0
"""So long something that was dialled may take to come back here."""


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


def leads_here(bind_host: str, port: int, told: str) -> bool:
    """Whether what is dialled at ``told`` arrives where ``port`` of ``bind_host`` listens (0: any free port).

    Dialled is from this machine, so a router that does not lead those inside back in says no for nothing.
    """
    family = socket.AF_INET6 if ":" in bind_host else socket.AF_INET
    anywhere = "" if bind_host == "*" else bind_host
    token = secrets.token_bytes(16)
    with suppress(OSError), socket.create_server((anywhere, port), family=family) as server:
        dialled = (told.strip("[]"), server.getsockname()[1])
        with socket.create_connection(dialled, WAY_S) as out:
            out.sendall(token)
            return _arrives(server, token)
    return False


def _arrives(server: socket.socket, token: bytes) -> bool:
    """Whether one of those who connect to ``server`` says ``token``; others may dial it as well."""
    until = time.monotonic() + WAY_S
    while (left := until - time.monotonic()) > 0:
        server.settimeout(left)
        try:
            came, _ = server.accept()
        except TimeoutError:
            return False
        with came, suppress(OSError):
            came.settimeout(left)
            if came.recv(len(token), socket.MSG_WAITALL) == token:
                return True
    return False
