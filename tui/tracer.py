"""The trace on the screen: a thread that makes it anew with every snapshot, and the way to what it names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.dialogs.trace import Drawn, Subject, TraceScreen
from tui.model.kind import Kind
from tui.model.link import Link
from tui.model.traceable import TRACED, nic_count
from tui.panes import PANES
from tui.runtime.threads import run_forever
from tui.topology.trace_scene import Query
from tui.tracing import QueryError, captured, target_of, traced

if TYPE_CHECKING:
    from tui.app import VirtdeckApp
    from tui.model.finding import Hop, Trace
    from tui.model.snapshot import HostSnapshot
    from tui.tracing import Probes


_REST_S, _MOST_REST_S, _SHARE = 0.25, 3.0, 0.1
"""How long the same is not traced again, and what share of the time tracing may take: with Open vSwitch on the
way a program is started for each of its hops."""


class Tracer:
    """Makes traces on a thread of its own, of the newest snapshot alone."""

    def __init__(self, told: Callable[[Trace | str], None], *, made_up: bool) -> None:
        """`told` is called on the thread; of a host that is `made_up` nobody is asked."""
        self.told = told
        """What a trace, or why there is none, is given to."""
        self._made_up = made_up
        self._news = threading.Condition()
        self._asked: tuple[HostSnapshot, Subject] | None = None
        self._traced: Subject | None = None
        self._hurried = False
        """Whether somebody waits for what was asked for: something else, or a proof."""
        self._probing = False
        self._probes: dict[Subject, Probes] = {}
        """What was answered on the wire when it was last asked."""
        self._stopped = False
        run_forever("tracer", self._run, lambda failed: self.told(failed), lambda: self._stopped)

    def ask(self, snapshot: HostSnapshot, subject: Subject, probing: bool) -> None:
        """Have a trace made, proven on the wire if it is `probing`; returns at once."""
        with self._news:
            self._hurried = self._hurried or probing or subject != self._traced
            self._asked = snapshot, subject
            self._probing = self._probing or probing
            self._news.notify()

    def listen(self, snapshot: HostSnapshot, key: str, told: Callable[[str, tuple[str, ...] | str], None]) -> None:
        """Have a link listened to on a thread of its own; `told` is called there."""

        def work() -> None:
            made_up = "of the demo host nothing can be heard"
            told(key, made_up if self._made_up else captured(snapshot, key, lambda: self._stopped))

        threading.Thread(target=work, name="capture", daemon=True).start()

    def stop(self) -> None:
        """Ask the thread to leave."""
        with self._news:
            self._stopped = True
            self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._asked is not None or self._stopped)
                if self._stopped or self._asked is None:
                    return
                (snapshot, subject), self._asked = self._asked, None
                self._traced = subject
                probing, self._probing, self._hurried = self._probing, False, False
            began = time.monotonic()
            self.told(self._made(snapshot, subject, probing=probing))
            # Asking on the wire takes long for want of answers, and is no load.
            cost_s = 0.0 if probing else time.monotonic() - began
            rest_s = min(max(_REST_S, cost_s / _SHARE), _MOST_REST_S)
            with self._news:
                self._news.wait_for(lambda: self._hurried or self._stopped, rest_s)

    def _made(self, snapshot: HostSnapshot, subject: Subject, *, probing: bool) -> Trace | str:
        if snapshot.links is None:
            return "the links are not read yet" if "links" in snapshot.unread else "the links of this host are not seen"
        try:
            query = Query(subject.guest, subject.nic, subject.link, target_of(snapshot, subject.to))
        except QueryError as error:
            return str(error)
        probes = {} if probing else self._probes.get(subject, {})
        self._probes = {subject: probes}
        return traced(snapshot, query, made_up=self._made_up, probes=probes, probing=probing)


def open_trace(app: VirtdeckApp) -> None:
    """Trace the guest under the cursor, on a screen that follows what happens; without one say so."""
    snapshot = app.snapshot
    subject = _subject(app)
    if snapshot is None or subject is None:
        app.toast("Trace: no link, and no domain or process with a NIC, is selected here", "warning")
        return
    tracer = Tracer(lambda found: screen.show_trace(found), made_up=app.demo)
    screen = TraceScreen(snapshot, subject, tracer.ask, lambda seen, key: tracer.listen(seen, key, screen.show_capture))

    def done(left: Hop | Drawn | None) -> None:
        app.keep_live(None)
        if isinstance(left, Drawn):
            draw_path(app, tracer, left)
            return
        tracer.stop()
        if left is not None:
            jump(app, left)

    app.clear_notifications()
    app.push_screen(screen, done)
    app.keep_live(screen)


def draw_path(app: VirtdeckApp, tracer: Tracer, drawn: Drawn) -> None:
    """Light a trace up in the topology, where the tracer keeps it up to date until it is dropped."""
    from tui.panes.topology_frame import TopologyFrame
    from tui.panes.topology_path import Follower

    app.open_pane(next(pane for pane in PANES if pane.id == "topology"))
    frame = app.frame
    assert isinstance(frame, TopologyFrame)
    follower = Follower(lambda snapshot: tracer.ask(snapshot, drawn.subject, False), tracer.stop)
    tracer.told = lambda found: frame.show_trace(follower, found)
    frame.light(drawn.trace, follower)


def _subject(app: VirtdeckApp) -> Subject | None:
    things = app.frame.things()
    target = next((one for wanted in TRACED for kind, one in things if kind is wanted), None)
    if target is None:
        return None
    if isinstance(target, Link):
        return Subject("", 0, link=target.key)
    nics = nic_count(target)
    return Subject(target.key, nics) if nics else None


def jump(app: VirtdeckApp, hop: Hop) -> None:
    """Go to the thing of a hop: a guest, or a link."""
    seen = app.snapshot
    if not hop.key or seen is None:
        app.toast(f"{hop.kind} {hop.name}: no pane shows it", "warning")
        return
    guest = Kind.DOMAIN if hop.key in seen.domains else Kind.PROCESS
    app.commands.jump(guest if hop.kind == "guest" else Kind.LINK, hop.key)
