"""The dashboard as something that is started beside other work, and ended."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn

from p2pgan.dashboard import DEFAULT_PORT
from p2pgan.dashboard.app import application
from p2pgan.dashboard.source import Source
from p2pgan.dashboard.stream import Hub
from p2pgan.errors import ConfigError, InternalError
from p2pgan.rendezvous.dsn import is_local
from p2pgan.transport.sockets import outward_address

MOST_PORTS = 100
"""So many are tried, one after the other."""
START_S = 20.0
END_S = 5.0


class Dashboard:
    """Serves the page of the rendezvous at ``place`` within a ``with`` block, in a thread of its own.

    Nothing is asked of the database while nobody looks. Beyond this machine it listens only with a token:
    ``token``, or a random one.

    Raises:
        ConfigError: the host is not this machine's, or no port is free.
    """

    def __init__(
        self, place: str, host: str = "127.0.0.1", port: int = DEFAULT_PORT, token: str | None = None
    ) -> None:
        self._source, self._host, self._first_port = Source(place), host, port
        self._token = None if is_local(host) else token or secrets.token_urlsafe(24)
        self._url = ""
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where the page is, with the token if it needs one."""
        return self._url

    def __enter__(self) -> Self:
        listener = _listen(self._host, self._first_port)
        port: int = listener.getsockname()[1]
        shown = outward_address() if self._host in ("0.0.0.0", "::") else self._host
        place = f"[{shown}]" if ":" in shown else shown
        self._url = f"http://{place}:{port}/" + (f"?token={self._token}" if self._token else "")
        hub = Hub(self._source)
        config = uvicorn.Config(
            application(self._source, hub, host=self._host, port=port, token=self._token),
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config, hub)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="dashboard", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(START_S):
            raise InternalError("the dashboard did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None and self._thread is not None
        self._server.should_exit = True
        self._thread.join(END_S)
        self._source.close()


class _Server(uvicorn.Server):
    """Tells when it serves, and ends the streams before it waits for connections to close."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._hub = hub

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._hub.close()
        await asyncio.sleep(0)
        await super().shutdown(sockets)


def _listen(host: str, first_port: int) -> socket.socket:
    """A socket on the first free port from ``first_port`` on; 0 is any."""
    ports = range(first_port, min(first_port + MOST_PORTS, 65_536)) if first_port else (0,)
    for port in ports:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return _bound(socket.socket(family, kind, protocol), address)
        except socket.gaierror as error:
            raise ConfigError(f"--host {host} is no address: {error.strerror}") from error
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise ConfigError(f"--host {host} cannot be listened on: {error.strerror}") from error
    raise ConfigError(f"no port from {ports[0]} to {ports[-1]} is free; choose another with --port")


def _bound(listener: socket.socket, address: object) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
