"""Invited logins, and what they may try beyond the package's own calls."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import psycopg

from p2pgan.rendezvous import Rendezvous
from tests.contract.rendezvous.scenes import Scene, registration

_numbers = itertools.count()


@dataclass
class Guest:
    """An invited login; its peer is called like it."""

    login: str
    dsn: str
    rendezvous: Rendezvous

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the guest's own making, with none of the package's settings."""
        return psycopg.connect(self.dsn, autocommit=True)

    def close(self) -> None:
        self.rendezvous.close()


def invite_guest(host: Rendezvous, scene: Scene) -> Guest:
    """A new login with a peer in the scene's run."""
    login = f"guest-{next(_numbers)}"
    dsn = host.invite(login)
    guest = Guest(login, dsn, Rendezvous(dsn))
    guest.rendezvous.register_peer(scene.run.id, registration(login))
    return guest
