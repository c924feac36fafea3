"""A peer of a lab as an operating system process: started, frozen, killed, and read by its log."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from p2pgan import failpoints
from p2pgan.failpoints import Moment

LEFT = "left"
LEFT_EARLY = "left while it started"
NOT_YET = (130, -signal.SIGTERM)
"""Exit codes of a process that was asked before it could leave in its own way."""
NOT_YET_WORDS = "left before it took part"
"""A peer's last words when it was asked to leave while it started."""
APPLIED = b" version "
"""The kind of line with which a peer's log says that its weights have become a version."""


@dataclass
class PeerProcess:
    """One peer: its command, its folder, and its process while it runs."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    frozen: bool = field(default=False, init=False)
    started_s: float = field(default=0.0, init=False)
    """When it started last, by the monotonic clock."""
    took_part_s: float | None = field(default=None, init=False)
    """When it was first seen to have applied a version since it started, by the monotonic clock."""
    _log_began: int = field(default=0, init=False)
    expected_end: bool = field(default=False, init=False)
    """Whether the lab itself ended it, so that its end is no failure."""

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def journal(self) -> Path:
        return self.state_dir / "journal.sqlite"

    @property
    def _fail_file(self) -> Path:
        return self.folder / "fail-at"

    @property
    def _poison_file(self) -> Path:
        return self.folder / "poison"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def died_unasked(self) -> bool:
        return self.process is not None and not self.alive and not self.expected_end

    @property
    def end(self) -> str:
        """How it ended, in words."""
        code = None if self.process is None else self.process.poll()
        if code is None:
            return "runs"
        if code == -signal.SIGKILL:
            return "killed"
        words = self.last_words()
        if self.expected_end and (code in NOT_YET or (code == 0 and words.endswith(NOT_YET_WORDS))):
            return LEFT_EARLY
        return LEFT if code == 0 else words

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._fail_file.unlink(missing_ok=True)
        told = {failpoints.VARIABLE: str(self._fail_file), failpoints.POISON: str(self._poison_file)}
        with self.log.open("ab") as log, _signals_held():
            self._log_began = log.tell()
            # A session of its own: Ctrl-C at the lab's terminal reaches the lab, which decides.
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environment, **told},
                start_new_session=True,
            )
        self.frozen = self.expected_end = False
        self.started_s, self.took_part_s = time.monotonic(), None

    def takes_part(self) -> bool:
        """Whether it has applied a version since it started, as its log says."""
        if self.took_part_s is None and self.log.exists():
            with self.log.open("rb") as log:
                log.seek(self._log_began)
                if any(APPLIED in line[:20] for line in log):
                    self.took_part_s = time.monotonic()
        return self.took_part_s is not None

    def send(self, number: signal.Signals) -> None:
        if self.process is not None and self.alive:
            self.process.send_signal(number)

    def arm(self, point: Moment, number: signal.Signals) -> None:
        """Have it send itself a signal when it next comes to ``point``."""
        self.expected_end = number is signal.SIGKILL
        draft = self.folder / "fail-at.draft"
        draft.write_text(f"{point}:{number.name}")
        draft.rename(self._fail_file)

    @property
    def died_or_frozen(self) -> bool:
        """Whether it has died, or is stopped by a signal."""
        if self.process is None or not self.alive:
            return True
        if psutil.Process(self.process.pid).status() != psutil.STATUS_STOPPED:
            return False
        self.frozen = True
        return True

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)
        self.frozen = True

    def wake(self) -> None:
        self._fail_file.unlink(missing_ok=True)
        self.send(signal.SIGCONT)
        self.frozen = False

    def poison(self) -> None:
        """From the next training on, it contributes what harms."""
        self._poison_file.touch()

    def cure(self) -> None:
        self._poison_file.unlink(missing_ok=True)

    def kill(self) -> None:
        self.expected_end = True
        self.send(signal.SIGKILL)
        self.wait(None)

    def ask_to_leave(self) -> None:
        self.expected_end = True
        self.wake()
        self.send(signal.SIGTERM)  # SIGINT may be ignored, by whom the lab was started

    def wait(self, seconds: float | None) -> bool:
        """Waits for the process to end; False if it has not."""
        if self.process is None:
            return True
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_words(self) -> str:
        """The last line of its log: the reason of an unasked end."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


@contextmanager
def _signals_held() -> Iterator[None]:
    """Ctrl-C waits until a new process is known: else nobody would be left to end it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread takes signals
        return
    came: list[int] = []
    held = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if callable(signal.getsignal(n))]
    before = {number: signal.signal(number, lambda came_now, _: came.append(came_now)) for number in held}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for missed in came:
        signal.raise_signal(missed)
