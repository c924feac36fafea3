"""Calls about who may log in; they need a trusted login that may create roles."""

from __future__ import annotations

import re
import secrets
from typing import cast

from psycopg.rows import class_row, scalar_row

from p2pgan.errors import ConfigError, RendezvousRefused, RendezvousUnavailable
from p2pgan.rendezvous.calls import Calls
from p2pgan.rendezvous.connection import Session
from p2pgan.rendezvous.dsn import guest_dsn
from p2pgan.rendezvous.rows import LoginRow

_NAME = re.compile(r"(?!pg_|p2pgan_)(?!(?:public|none)$)[a-z][a-z0-9_-]{0,39}")
"""Names that need no quoting in a DSN, and are nobody else's by rule."""
_PASSWORD_BYTES = 24
CONNECTIONS = 20
"""Two connections a peer: enough for one person's peers and a few looks, not for all of the server."""
_ATTEMPTS_TO_END = 3


class LoginTaken(ConfigError):
    """Somebody on that server has the name, who was not invited to this database."""


class LoginCalls(Calls):
    """Inviting, revoking and listing logins."""

    def invite(
        self,
        login: str,
        host: str | None = None,
        *,
        password: str | None = None,
        connections: int = CONNECTIONS,
        rehearse: bool = False,
    ) -> str:
        """Make a login that can take part in this database's runs; one invited before gets a new password.

        ``host`` is the address under which the others reach the database, if it is not ours;
        ``connections`` is how many the login may have at once. Without a ``password`` it gets a random one.
        With ``rehearse`` all of it is taken back.

        Returns:
            Its DSN. Nobody else has the password in it: the server gets a SCRAM verifier.

        Raises:
            LoginTaken: the name is of somebody who was not invited.
            ConfigError: not a name for a login; or we came by a socket, and no ``host`` is given.
            RendezvousRefused: our login may not create others.
        """
        if not _NAME.fullmatch(login):
            raise ConfigError(
                f"{login!r} is not a name for a login: use up to 40 of a-z, 0-9, _ and -, a letter first, "
                "and neither public, none, pg_... nor p2pgan_..."
            )
        password = password or secrets.token_urlsafe(_PASSWORD_BYTES)
        with self._line.rehearsal() if rehearse else self._line.transaction() as session:
            address = session.address()
            if host is None and address.host.startswith("/"):
                raise ConfigError(
                    "this machine reaches the database by a socket: say with --host where others reach it"
                )
            session.rows("lock_migrations", {}, scalar_row)
            if not session.value("settle_roles", {}):
                raise RendezvousRefused(
                    f"the database at {self._line.place} refuses: this user may not create logins: "
                    "have it be given CREATEROLE"
                )
            verifier = session.scram_verifier(login, password)
            admitted = {"login": login, "verifier": verifier, "connections": connections}
            if not session.value("admit_login", admitted):
                raise LoginTaken(f"{login} is a user of that server already: choose another name")
        return guest_dsn(login, password, host or address.host, address.port, address.database, address.tls)

    def revoke(self, login: str) -> int:
        """Let nobody log in under this name, end its sessions, take its peers out of every run.

        Returns:
            How many peers that were. Calling it again does what is left to do.

        Raises:
            ConfigError: nobody was invited under this name.
            RendezvousUnavailable: a session does not end.
        """
        with self._line.call() as session:
            # Three transactions in this order: whose session ends cannot come back, and whose peer is
            # dismissed has no session left to register it again.
            _disable(session, login)
            for _ in range(_ATTEMPTS_TO_END):
                if (left := cast(int, session.value("end_sessions", {"login": login}))) == 0:
                    break
            else:
                raise RendezvousUnavailable(
                    f"{left} sessions of {login} do not end, though nobody can log in as {login} any more: "
                    "try again"
                )
            return cast(int, session.value("dismiss_peers", {"login": login}))

    def rehearse_revoke(self, login: str) -> int:
        """How many peers :meth:`revoke` would take out; raises ConfigError as it does. All is taken back."""
        with self._line.rehearsal() as session:
            _disable(session, login)
            return cast(int, session.value("dismiss_peers", {"login": login}))

    def list_logins(self) -> tuple[LoginRow, ...]:
        """All peers of all runs with their logins, those present first, and logins without a peer."""
        with self._line.call() as session:
            return tuple(session.rows("list_logins", {}, class_row(LoginRow)))


def _disable(session: Session, login: str) -> None:
    if not session.value("disable_login", {"login": login}):
        raise ConfigError(f"nobody was invited as {login}: see p2pgan peers")
