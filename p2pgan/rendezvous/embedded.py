"""A real Postgres that the package starts by itself, so that one machine needs no server.

A folder holds the cluster (``data``), the password, the port and two lock files. It listens on
loopback only and asks for the password (SCRAM). Processes of one machine share it: the first one
starts it, the last one to leave stops it.
"""

from __future__ import annotations

import fcntl
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from blake3 import blake3

from p2pgan.errors import ConfigError, RendezvousUnavailable
from p2pgan.rendezvous.account import Account, reachable_folder, server_account
from p2pgan.rendezvous.binaries import Programs, find_programs
from p2pgan.rendezvous.connection import Limits, Line
from p2pgan.rendezvous.translation import SOON, NoCluster

_USER = "p2pgan"
_DATABASE = "postgres"
_START_SECONDS = 120
"""Recovery after a crash counts in."""
_PORTS = range(15_000, 32_000)
"""Below the ports that systems hand out to outgoing connections, so that ours stays free while it is down."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "autovacuum_naptime": "15s",
    "lc_messages": "C",
}


class EmbeddedPostgres:
    """The embedded Postgres in ``folder``; as a context manager, it runs inside and is left at the end."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self._presence: IO[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Where it listens, with the password.

        Raises:
            ConfigError: there is no embedded Postgres in the folder.
        """
        try:
            password = (self.folder / "password").read_text()
            port = int((self.folder / "port").read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"there is no embedded Postgres of yours in {self.folder}: {error}") from error
        return f"postgresql://{_USER}:{password}@127.0.0.1:{port}/{_DATABASE}"

    def start(self, create: bool = True) -> str:
        """Make the cluster if there is none, start it if it does not run, and take part in it.

        Several processes may do so at once. Returns the DSN.

        Raises:
            ConfigError: the folder cannot be used; or, unless ``create``, there is no cluster in it:
                NoCluster, if one may still be made there.
            RendezvousUnavailable: the server does not start; the text names its log.
        """
        if not create and not (self._data() / "PG_VERSION").exists():
            if not self.folder.parent.exists():
                raise ConfigError(
                    f"there is no embedded Postgres in {self.folder}, nor the folder around it: "
                    "check the path"
                )
            raise NoCluster(
                f"there is no embedded Postgres in {self.folder}: `p2pgan lead` makes one; {SOON}"
            )
        account = server_account()
        with self._alone():
            data = self._data()
            made = (data / "PG_VERSION").exists()
            programs = find_programs(account, int((data / "PG_VERSION").read_text()) if made else None)
            if not made:
                self._make_cluster(account, programs)
            if not self._runs(account, programs):
                self._launch(account, programs)
            if self._presence is None:
                self._presence = self._lock("in-use", fcntl.LOCK_SH)
        return self.dsn

    def leave(self) -> None:
        """Stop it unless others still use it: processes of this machine, or connections of p2pgan."""
        if self._presence is None:
            return
        with self._alone():
            self._presence.close()
            self._presence = None
            with (self.folder / "in-use").open("ab") as presence:
                try:
                    fcntl.flock(presence, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                if not self._others_connected():
                    self._halt("fast")

    def stop(self) -> None:
        """Stop it in order, whoever uses it."""
        with self._alone():
            self._halt("fast")

    def crash(self) -> None:
        """Stop it as a power failure would: no checkpoint; the next start recovers from the log."""
        with self._alone():
            self._halt("immediate")

    def end_connections(self) -> None:
        """End every connection of p2pgan, as an administrator may.

        Raises:
            RendezvousUnavailable: it does not run.
        """
        line = Line(self.dsn, Limits(statement="5s", lock="5s"))
        try:
            with line.call() as session:
                session.value("end_others", {})
        finally:
            line.close()

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    # Steps; all run while the folder's lock is held. ----------------------------------------------

    def _data(self) -> Path:
        return (self.folder / "data").resolve()

    def _make_cluster(self, account: Account, programs: Programs) -> None:
        home = reachable_folder(account, self.folder, secrets.token_hex(8))
        draft, data = home / "data.draft", home / "data"
        shutil.rmtree(draft, ignore_errors=True)  # of an attempt that was cut short
        draft.mkdir(mode=0o700)
        account.own(draft)
        password = secrets.token_urlsafe(24)
        with tempfile.NamedTemporaryFile("w", prefix="p2pgan-") as secret:
            secret.write(password)
            secret.flush()
            account.own(Path(secret.name))
            done = account.run(
                [
                    programs / "initdb",
                    f"--pgdata={draft}",
                    f"--username={_USER}",
                    f"--pwfile={secret.name}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--no-locale",
                    "--data-checksums",
                ],
                _START_SECONDS,
            )
        if done.returncode != 0:
            raise RendezvousUnavailable(f"the embedded Postgres: initdb failed: {_last_line(done.stderr)}")
        _write_private(self.folder / "password", password)
        draft.rename(data)
        if home != self.folder:
            (self.folder / "data").symlink_to(data)

    def _runs(self, account: Account, programs: Programs) -> bool:
        return account.run([programs / "pg_ctl", "status", f"--pgdata={self._data()}"], 30).returncode == 0

    def _launch(self, account: Account, programs: Programs) -> None:
        data = self._data()
        port = self._free_port()
        (self.folder / "port").write_text(f"{port}\n")
        settings = " ".join(f"-c {key}='{value}'" for key, value in {**_SETTINGS, "port": str(port)}.items())
        log = data / "server.log"
        done = account.run(
            [
                programs / "pg_ctl",
                "start",
                f"--pgdata={data}",
                f"--log={log}",
                f"--timeout={_START_SECONDS}",
                f"--options={settings}",
            ],
            _START_SECONDS + 10,
        )
        if done.returncode != 0:
            why = _last_line(log.read_text("utf-8", "replace")) if log.exists() else _last_line(done.stderr)
            raise RendezvousUnavailable(f"the embedded Postgres does not start: {why} (see {log})")

    def _halt(self, mode: str) -> None:
        data = self._data()
        if not (data / "PG_VERSION").exists():
            raise ConfigError(f"there is no embedded Postgres in {self.folder}")
        account = server_account()
        programs = find_programs(account, int((data / "PG_VERSION").read_text()))
        if not self._runs(account, programs):
            return
        command: list[str | Path] = [
            programs / "pg_ctl",
            "stop",
            f"--pgdata={data}",
            f"--mode={mode}",
            f"--timeout={_START_SECONDS}",
        ]
        done = account.run(command, _START_SECONDS + 10)
        if done.returncode != 0 and self._runs(account, programs):
            raise RendezvousUnavailable(f"the embedded Postgres does not stop: {_last_line(done.stderr)}")

    def _others_connected(self) -> bool:
        line = Line(self.dsn, Limits(statement="5s", lock="5s"))
        try:
            with line.call() as session:
                return cast(int, session.value("count_others", {})) > 0
        except RendezvousUnavailable:
            return False  # it does not run: nobody is connected
        finally:
            line.close()

    def _free_port(self) -> int:
        """The port it had before if that is free, or else another, always the same for the same folder."""
        first = int.from_bytes(blake3(str(self.folder).encode()).digest()[:4], "big")
        candidates = [_PORTS[(first + step) % len(_PORTS)] for step in range(0, 10_000, 37)]
        remembered = self.folder / "port"
        if remembered.exists():
            candidates.insert(0, int(remembered.read_text()))
        for port in candidates:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
        raise RendezvousUnavailable("the embedded Postgres finds no free port on 127.0.0.1")

    # Locks ----------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder's lock; what the file system refuses inside becomes a ConfigError."""
        try:
            with self._lock("lock", fcntl.LOCK_EX):
                yield
        except OSError as error:
            why = "it is a file" if self.folder.is_file() else error.strerror or str(error)
            raise ConfigError(
                f"{self.folder} cannot be used for the embedded Postgres: {why}; name another folder"
            ) from error

    def _lock(self, name: str, kind: int) -> IO[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / name).open("ab")
        fcntl.flock(file, kind)
        return file


def embedded_dsn(folder: str | Path) -> str:
    """The DSN of the embedded Postgres in ``folder``, which must have been started once."""
    return EmbeddedPostgres(folder).dsn


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing"


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
