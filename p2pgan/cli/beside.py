"""The dashboard beside another command's work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dashboard_beside(place: str, host: str = "127.0.0.1", token: str | None = None) -> Iterator[str]:
    """Serves the page of the rendezvous at ``place`` within the block; gives its address.

    It is for this machine, or for those who see its address, if ``host`` is another than its own;
    then ``token`` takes the place of a random one.

    Raises:
        ConfigError: no port is free.
    """
    from p2pgan.dashboard.server import Dashboard

    with Dashboard(place, host, token=token) as page:
        yield page.url
