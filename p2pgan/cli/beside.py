"""The dashboard beside another command's work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dashboard_beside(place: str) -> Iterator[str]:
    """Serves the page of the rendezvous at ``place`` on this machine within the block; gives its address.

    Raises:
        ConfigError: no port is free.
    """
    from p2pgan.dashboard.server import Dashboard

    with Dashboard(place) as page:
        yield page.url
