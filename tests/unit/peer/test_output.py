from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2pgan.peer.log import Log
from p2pgan.peer.output import Output


def test_lines_are_written_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    Output(sys.stdout).line("one")
    assert capsys.readouterr().out == "one\n"


def test_a_reader_that_goes_away_silences_it() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        output = Output(stream)
        output.line("read")
        assert os.read(reading, 100) == b"read\n"
        os.close(reading)
        output.line("nobody reads this")
        output.line("nor this")


def test_a_stream_that_was_never_there_is_silent() -> None:
    Output(None).line("nobody reads this")


def test_a_closed_stream_is_silent() -> None:
    stream = io.StringIO()
    output = Output(stream)
    stream.close()
    output.line("nobody reads this")


def test_what_the_terminal_cannot_show_is_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Output(stream).line("Zoë")
    assert raw.getvalue() == b"Zo\\xeb\n"


ENDS_IN_ORDER = """
import sys
from p2pgan.peer.output import Output, open_standard_streams
open_standard_streams()
output = Output(sys.stdout)
for number in range(10_000):
    output.line("a line that nobody reads")
open(sys.argv[1], "w").write("done")
"""


@pytest.mark.parametrize("redirection", ["| head -n 1 >/dev/null; exit ${PIPESTATUS[0]}", ">&-", ">&- 2>&-"])
def test_the_process_ends_in_order(redirection: str, tmp_path: Path) -> None:
    """Python itself would end with exit code 120, and say so, if its buffer cannot be emptied."""
    done = tmp_path / "done"
    command = ["bash", "-c", f'"$0" "$@" {redirection}', sys.executable, "-c", ENDS_IN_ORDER, str(done)]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert done.read_text() == "done"


def test_a_log_line_has_time_kind_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    Log("lines").note("peer", "ada listens")
    assert capsys.readouterr().out.split(maxsplit=2)[1:] == ["peer", "ada listens\n"]
    Log("json").note("peer", "ada listens")
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["event"]) == ("peer", "ada listens")


def test_nothing_in_a_log_line_reaches_the_terminal_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("lines", "json"):
        Log(form).note("peer", "\x1b[2Jben\nada leaves")
        said = capsys.readouterr().out
        assert "\x1b" not in said
        assert said.count("\n") == 1
