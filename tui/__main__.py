"""Entry point: `virtdeck` and `python -m tui`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    from tui.cli import leave, run

    leave(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
