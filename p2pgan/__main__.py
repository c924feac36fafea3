"""The program ``p2pgan``, and ``python -m p2pgan``."""

from __future__ import annotations

import sys

from p2pgan.peer.departure import INTERRUPTED


def main() -> None:
    """Runs the command line of this process and exits; Ctrl-C is one line from the first import on."""
    try:
        from p2pgan.cli.main import main as run_command_line
    except KeyboardInterrupt:
        print("p2pgan: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    run_command_line()


if __name__ == "__main__":
    main()
