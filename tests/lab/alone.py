"""Python that sees no process, mount or network but its own: for figures that the rest of the machine would disturb."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lab.namespaces import run

_ROOT = Path(__file__).parents[2]


def run_alone(module: str, arguments: Sequence[str] = (), *, timeout: float = 120) -> str:
    """What a module of the tests prints when it is run in namespaces of its own; RuntimeError when it fails."""
    inner = [sys.executable, "-m", module, *arguments]
    argv = ["unshare", "-m", "-n", "-p", "--fork", "--kill-child", "--mount-proc", "--wd", str(_ROOT), "--", *inner]
    return run(argv, timeout=timeout).stdout
