"""The sockets of a transport and their options, and the addresses they bind and dial."""

from __future__ import annotations

import errno
import re
import socket as network
import struct

import zmq
import zmq.utils.z85

from p2pgan.errors import ConfigError
from p2pgan.protocol.ids import PeerId
from p2pgan.transport.arrivals import PeerAddress
from p2pgan.transport.codec import MAX_MESSAGE_BYTES
from p2pgan.transport.curve import Keys
from p2pgan.transport.limits import BulkLimits
from p2pgan.transport.seal import MAX_FRAME_BYTES
from p2pgan.transport.zap import BULK_DOMAIN, CONTROL_DOMAIN, ENDPOINT

Socket = zmq.Socket[bytes]

_ENDPOINT = re.compile(r"tcp://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):[0-9]{1,5}")
_HANDSHAKE_BYTES = 512
"""Dealers only send; what a server may say to one is the handshake."""

BULK_ENDED = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


def dialable(peer: PeerId, address: PeerAddress) -> bool:
    """Whether key and endpoints have the form that libzmq takes; rows of a table are others' words."""
    endpoints = (address.control, address.bulk)
    return is_key(peer) and all(_ENDPOINT.fullmatch(endpoint) for endpoint in endpoints)


def is_key(text: str) -> bool:
    """Whether ``text`` is the Z85 form (RFC 32) of a 32-byte key."""
    try:
        return len(text) == 40 and len(zmq.utils.z85.decode(text)) == 32
    except (ValueError, KeyError, struct.error):  # not ASCII, not of the alphabet, five characters over 2**32
        return False


def gate(context: zmq.Context[Socket]) -> Socket:
    """The ZAP handler's socket; bound before any other, so that no connection passes unasked."""
    socket = context.socket(zmq.REP)
    socket.bind(ENDPOINT)
    return socket


def control_router(context: zmq.Context[Socket], keys: Keys) -> Socket:
    """Receives messages from everyone who is allowed; CURVE server under this peer's key."""
    socket = context.socket(zmq.ROUTER)
    socket.curve_server = True
    socket.curve_secretkey = keys.secret.encode("ascii")
    socket.zap_domain = CONTROL_DOMAIN
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    socket.set(zmq.RCVHWM, 32)
    _notice_dead_connections(socket, within_s=5)
    return socket


def control_dealer(context: zmq.Context[Socket], keys: Keys, peer: PeerId) -> Socket:
    """Sends messages to one peer, and to nobody who does not hold that peer's secret key."""
    socket = context.socket(zmq.DEALER)
    socket.curve_serverkey = peer.encode("ascii")
    socket.curve_publickey = keys.public.encode("ascii")
    socket.curve_secretkey = keys.secret.encode("ascii")
    # Without a connection, messages wait in our own queue, where the oldest give way.
    socket.set(zmq.IMMEDIATE, 1)
    socket.set(zmq.SNDHWM, 256)
    socket.set(zmq.RECONNECT_IVL, 100)
    socket.set(zmq.RECONNECT_IVL_MAX, 1000)
    # A refused handshake ends by this timer, so it is how soon a peer gets in that is allowed now. It
    # must still leave the handshake its three or four round trips between continents.
    socket.set(zmq.HANDSHAKE_IVL, 2000)
    _only_sends(socket)
    _notice_dead_connections(socket, within_s=5)
    return socket


def connect_control(socket: Socket, endpoint: str) -> Socket:
    """Dial ``endpoint`` and return the monitor that tells when a connection is made and when it has ended."""
    monitor: Socket = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    _connect(socket, endpoint)
    return monitor


def bulk_router(context: zmq.Context[Socket]) -> Socket:
    """Receives sealed frames. Its few receive buffers stay hot in the cache and bound what is queued."""
    socket = context.socket(zmq.ROUTER)
    socket.plain_server = True
    socket.zap_domain = BULK_DOMAIN
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.set(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.set(zmq.RCVHWM, 4)
    _notice_dead_connections(socket, within_s=60)
    return socket


def bulk_dealer(context: zmq.Context[Socket], limits: BulkLimits, key_id: bytes) -> Socket:
    """Sends sealed frames over the one connection that ``key_id`` admits; it never reconnects."""
    socket = context.socket(zmq.DEALER)
    socket.plain_username = b"p2pgan"
    socket.plain_password = key_id.hex().encode("ascii")
    socket.set(zmq.RECONNECT_IVL, -1)
    socket.set(zmq.SNDHWM, 2 * limits.window_frames)  # the window bounds it; this is never reached
    socket.set(zmq.LINGER, 0)
    _only_sends(socket)
    _notice_dead_connections(socket, within_s=60)
    return socket


def connect_bulk(socket: Socket, endpoint: str) -> Socket:
    """Dial ``endpoint`` and return the monitor that tells when the connection has ended."""
    monitor: Socket = socket.get_monitor_socket(BULK_ENDED)
    _connect(socket, endpoint)
    return monitor


def _only_sends(socket: Socket) -> None:
    socket.set(zmq.RCVHWM, 1)
    socket.set(zmq.MAXMSGSIZE, _HANDSHAKE_BYTES)


def _notice_dead_connections(socket: Socket, within_s: int) -> None:
    """Give a connection up whose other machine has not acknowledged anything for so long.

    The kernel does it, by keep-alive probes and, on Linux, by TCP_USER_TIMEOUT (RFC 5482). libzmq's own
    heartbeats do not: one that is due after the other end hung up, while messages wait to be read, is an
    assertion that ends the process (``!_io_error``, up to libzmq 4.3.5). That is what becomes of a machine
    that was asleep.
    """
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, within_s)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, within_s)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 2)
    socket.set(zmq.TCP_MAXRT, 1000 * within_s)


def _connect(socket: Socket, endpoint: str) -> None:
    if "[" in endpoint:
        socket.set(zmq.IPV6, 1)
    socket.connect(endpoint)


def bind(socket: Socket, host: str, port: int) -> int:
    """Bind to ``host``, to any free port if ``port`` is 0, and return the port.

    Raises:
        ConfigError: the port is taken or not permitted, or the machine has no such address.
    """
    if ":" in host:
        socket.set(zmq.IPV6, 1)
        host = f"[{host}]"
    try:
        socket.bind(f"tcp://{host}:{port or '*'}")
    except zmq.ZMQError as error:
        raise ConfigError(_bind_failure(error, host, port)) from error
    endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
    return int(endpoint.rstrip("\0").rpartition(":")[2])


def _bind_failure(error: zmq.ZMQError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program: give another port, or 0 for any"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not permitted: give one above 1023, or 0 for any"
    return f"cannot listen on {host}: {error.strerror}; give an address of this machine, or 0.0.0.0 for all"


def advertised(bind_host: str, advertise_host: str | None) -> str:
    """The host that other peers are told to dial.

    Raises:
        ConfigError: this peer listens on all addresses and the one to tell cannot be found out.
    """
    host = advertise_host or bind_host
    if host in ("0.0.0.0", "*", "::"):
        host = outward_address()
    return f"[{host}]" if ":" in host else host


def outward_address() -> str:
    """Where this machine's traffic leaves from. Raises ConfigError if that cannot be found out."""
    with network.socket(network.AF_INET, network.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: connecting a datagram socket only picks the route.
            probe.connect(("192.0.2.1", 9))
        except OSError as error:
            raise ConfigError(
                "cannot find this machine's address for other peers to dial: give it with --advertise"
            ) from error
        address: str = probe.getsockname()[0]
        return address
