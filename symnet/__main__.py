"""`python -m symnet`, and the program `symnet`."""

import importlib
import sys


def main() -> int:
    """Run one command; returns the exit status, 130 where Ctrl-C is pressed while the command line is imported."""
    try:
        commands = importlib.import_module("symnet.cli.main")
    except KeyboardInterrupt:
        sys.stderr.write("symnet: interrupted\n")
        return 130
    status: int = commands.main()
    return status


if __name__ == "__main__":
    sys.exit(main())
