"""The thread that draws large topologies: one at a time, the newest order last."""

from __future__ import annotations

import threading

from tests.net_host import homework
from tui.model.snapshot import HostSnapshot
from tui.panes.topology_draft import Draft, Draftsman
from tui.topology.layout import Look


class _Late(Draftsman):
    """Is asked again just when its thread has found nothing more to do."""

    def __init__(self, told: list[threading.Thread], go_on: threading.Event) -> None:
        super().__init__(self._hold)
        self.told = told
        self._go_on = go_on
        self._again: HostSnapshot | None = homework().snapshot()

    def _hold(self, _made: Draft) -> None:
        self.told.append(threading.current_thread())
        if len(self.told) > 1:
            self._go_on.wait(10)

    def _next(self) -> tuple[HostSnapshot, Look, Draft | None] | None:
        order = super()._next()
        if order is None and self._again is not None:
            snapshot, self._again = self._again, None
            self.ask(snapshot, Look(80), None)
        return order


def test_a_thread_that_ends_does_not_hide_the_one_that_began() -> None:
    """Else a third would draw beside it, and the older drawing might come last."""
    told: list[threading.Thread] = []
    go_on = threading.Event()
    late = _Late(told, go_on)
    late.ask(homework().snapshot(), Look(80), None)
    deadline = threading.Event()
    for _ in range(1000):
        if len(told) > 1 and not told[0].is_alive():
            break
        deadline.wait(0.01)
    assert late.busy
    go_on.set()
    told[1].join(10)
    assert not late.busy
