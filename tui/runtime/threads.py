"""Daemon threads that do not end in silence: what nobody expected is logged, told, and tried again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger("virtdeck")
_log.addHandler(logging.NullHandler())
_AGAIN_S = 2.0


def run_forever(
    name: str, work: Callable[[], None], failed: Callable[[str], None], stopped: Callable[[], bool]
) -> None:
    """Run `work` on a daemon thread until it returns; when it raises, say so through `failed` and begin it anew after
    a pause, unless `stopped`."""

    def run() -> None:
        while not stopped():
            try:
                work()
                return
            except Exception as error:  # noqa: BLE001 - a thread that dies unseen leaves a screen that lies
                _log.exception("%s failed", name)
                failed(f"virtdeck's {name} failed: {type(error).__name__}: {error}")
                time.sleep(_AGAIN_S)

    threading.Thread(target=run, name=name, daemon=True).start()
