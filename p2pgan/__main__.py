"""``python -m p2pgan`` is the command ``p2pgan``."""

from p2pgan.cli.main import main

if __name__ == "__main__":
    main()
