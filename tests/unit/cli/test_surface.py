"""The commands and their flags, as others' scripts rely on them: a change shows in a file, not by accident.

After a change that is meant: ``python -m tests.unit.cli.test_surface`` writes the file anew.
"""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path
from typing import Any

import typer

from p2pgan.cli.main import app

FILE = Path(__file__).with_name("surface.txt")
RENEW = "python -m tests.unit.cli.test_surface"


def surface() -> str:
    """Each command with a line for each argument and flag: names, value, variable, default."""
    group: Any = typer.main.get_command(app)
    blocks = [_block("p2pgan", group)]
    blocks += [_block(f"p2pgan {name}", command) for name, command in sorted(group.commands.items())]
    return "\n".join(blocks)


def _block(title: str, command: Any) -> str:
    return "".join(f"{line}\n" for line in [title, *sorted(f"  {_line(p)}" for p in command.params)])


def _line(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"{parameter.metavar}, {'required' if parameter.required else 'optional'}"
    names = "/".join((*parameter.opts, *parameter.secondary_opts))
    parts = [names if parameter.is_flag else f"{names} {parameter.metavar or 'VALUE'}"]
    if parameter.multiple:
        parts.append("repeated")
    if parameter.envvar:
        parts.append(str(parameter.envvar))
    if parameter.required:
        parts.append("required")
    elif not parameter.is_flag and parameter.default is not None:
        parts.append(f"default {parameter.default}")
    return ", ".join(parts)


def test_the_commands_and_their_flags_are_those_in_the_file() -> None:
    expected = FILE.read_text(encoding="utf-8")
    before, now = expected.splitlines(), surface().splitlines()
    changes = list(unified_diff(before, now, FILE.name, "now", lineterm="", n=0))
    assert not changes, "\n".join(
        [f"commands or flags changed; if that is meant, run: {RENEW}, and tell it in CHANGELOG.md", *changes]
    )


if __name__ == "__main__":
    FILE.write_text(surface(), encoding="utf-8")
