"""One host being watched: the reading threads, the board they write on, and the connections that ops may use."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tui.model.host import NO_LIBVIRT, ConnectionState
from tui.runtime.agents import AgentReader
from tui.runtime.board import Board
from tui.runtime.desk import Focus
from tui.runtime.images import ImageReader
from tui.runtime.local_host import LocalHost
from tui.runtime.made_up import NetworkMaker
from tui.runtime.monitors import MonitorReader, Targets, UsageReader
from tui.runtime.network_readers import NetworkReaders
from tui.runtime.networks import NetworkWatcher
from tui.runtime.poller import Poller
from tui.runtime.pool_hosts import PoolHostReader
from tui.runtime.scanner import Scanner
from tui.runtime.storage import StorageWatcher
from tui.runtime.triage import Triaging
from tui.sources.connection import ConnectError, close, driver_of, is_alive, is_local, is_shared_only, open_within

if TYPE_CHECKING:
    from pathlib import Path

    from tui.model.snapshot import HostSnapshot
    from tui.model.usage import DomainUsage

# A round of cheap calls takes milliseconds; one that takes this long means that the daemon does not answer.
_SILENT_AFTER_S = 2.5
_WATCH_S = 1.0
_OPEN_DEADLINE_S = 10.0
_MONITOR_OPEN_S = 30.0


class Collector:
    """Watches one host on daemon threads and publishes a HostSnapshot whenever something changed.

    Also the OpContext: `control()` and `long()` give connections that no polling shares, except for drivers whose
    every open is a host of its own (the test driver), where all share one.
    """

    def __init__(
        self,
        uri: str,
        *,
        read_only: bool,
        interval_s: float,
        publish: Callable[[HostSnapshot], None],
        one_by_one: UsageReader | None = None,
        prepare: Callable[[Any], None] | None = None,
        network: NetworkMaker | None = None,
        muted_file: Path | None = None,
    ) -> None:
        """Make a collector for the host behind `uri`; `prepare` is called with every polling connection before it is
        read, for hosts that a file alone cannot describe (the demo host), and `network` makes up what such a host has
        of links, firewalls and the like. `muted_file` says which findings nobody wants to be told."""
        self.uri = uri
        self.read_only = read_only
        self.muted_file = muted_file
        self.board = Board(uri, read_only=read_only, publish=self._published)
        self._publish = publish
        self._triage = Triaging(self.board, muted_file, local=is_local(uri), uri=uri)
        self._focus = Focus()
        self._shared = is_shared_only(uri)
        self._stop = threading.Event()
        self._control_lock = threading.Lock()
        self._control_of = threading.local()
        self._spare: Any | None = None
        self.monitors = MonitorReader(
            self._monitor_link,
            owns_link=not self._shared,
            interval_s=interval_s,
            targets=self._targets,
            publish=self._publish_usage,
            one_by_one=one_by_one,
            failed=lambda problem: self.board.note_problem("monitors", problem),
        )
        self.agents = AgentReader(self._monitor_link, self._targets, lambda: self._focus.detail)
        self.poller = Poller(
            uri,
            read_only=read_only,
            interval_s=interval_s,
            board=self.board,
            monitors=self.monitors,
            agents=self.agents,
            prepare=prepare,
        )
        self._make_readers(uri, interval_s, network)

    def _make_readers(self, uri: str, interval_s: float, network: NetworkMaker | None) -> None:
        """What is read besides the domains, each on a thread of its own."""
        self._pool_hosts = PoolHostReader(self.board, local=is_local(uri))
        self._storage = StorageWatcher(
            self._monitor_link,
            self.board,
            owns_link=not self._shared,
            local=is_local(uri),
            watched=lambda: self._focus.storage,
            told=self._storage_told,
        )
        self._virt_networks = NetworkWatcher(
            self._monitor_link,
            self.board,
            owns_link=not self._shared,
            watched=lambda: self._focus.networks,
            moved=lambda: self._network.nudge(),
        )
        self._images = ImageReader(self.board, local=is_local(uri), looked_at=lambda: self._focus.image)
        self._scanner = Scanner(self.board, local=is_local(uri), interval_s=interval_s)
        self._local_host = LocalHost(self.board, watched=lambda: self._focus.host)
        self._network = NetworkReaders(
            self.board, local=is_local(uri), interval_s=interval_s, focus=lambda: self._focus, made_up=network
        )

    def start(self) -> None:
        """Start the reading threads; returns at once."""
        if self.uri == NO_LIBVIRT:
            self._local_host.start()
            return
        self.poller.start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def start_slow(self) -> None:
        """Start what is not needed for the first picture: configurations, monitors and processes."""
        self._scanner.start()
        self._network.start()
        self._triage.start()
        if self.uri == NO_LIBVIRT:
            return
        self.poller.desk.read_all()
        self.monitors.start()
        self._pool_hosts.start()
        self._images.start()
        self._storage.start()
        self._virt_networks.start()
        if driver_of(self.uri) == "qemu":
            self.agents.start()

    def stop(self) -> None:
        """Ask all threads to leave; never waits, since any of them may be inside a call that does not return."""
        self._stop.set()
        self.poller.desk.stop()
        self.monitors.stop()
        self.agents.stop()
        self._scanner.stop()
        self._storage.stop()
        self._virt_networks.stop()
        self._pool_hosts.stop()
        self._images.stop()
        self._network.stop()
        self._triage.stop()
        self._local_host.stop()

    def focus(self, focus: Focus) -> None:
        """Say what the user looks at."""
        if focus != self._focus:
            before, news = self._focus, set(focus.visible) - set(self._focus.visible)
            self._focus = focus
            # Which pools and volumes are in view is no business of the poller's.
            if replace(focus, storage=before.storage) != before:
                self.poller.desk.look_at(focus)
            if (news and self._shared) or (focus.detail not in (None, before.detail) and not self._shared):
                self.monitors.nudge()
            if focus.storage is not None and before.storage is None:
                self._storage.nudge()
            if focus.networks and not before.networks:
                self._virt_networks.nudge()
            if focus.image != before.image:
                self._images.nudge()
            self._network.look(before, focus)
            self._local_host.nudge()

    def reread(self) -> None:
        """Read everything again at once, in bulk."""
        self.poller.desk.reread()
        self.monitors.nudge()
        self._scanner.nudge()
        self._storage.nudge()
        self._images.reread()
        self._virt_networks.nudge()
        self._network.nudge()
        self._triage.nudge()

    def nudge(self, keys: set[str]) -> None:
        """Read again at once what a change of ours has touched."""
        self.poller.desk.ask(keys)
        self.agents.nudge()
        self.monitors.nudge()
        self._scanner.nudge()
        self._storage.nudge()
        self._images.reread()
        self._virt_networks.nudge()
        self._network.nudge()
        self._triage.nudge()

    def _published(self, snapshot: HostSnapshot) -> None:
        self._publish(snapshot)
        self._triage.notice(snapshot)

    def _storage_told(self) -> None:
        self._pool_hosts.nudge()
        self._images.nudge()

    def _targets(self) -> Targets:
        domains = self.board.snapshot.domains
        first = tuple(dict.fromkeys(key for key in (self._focus.detail, *self._focus.visible) if key))
        running = {key: domain for key, domain in domains.items() if domain.active}
        return Targets(first, running, self._focus.detail)

    def _publish_usage(self, usage: Mapping[str, DomainUsage]) -> None:
        """A round over a list that was never read is no first pass."""
        known = self.board.snapshot.domains_read_ns is not None
        self.board.update(done="usage" if known else None, usage=usage, usage_every_s=self.monitors.every_s)

    def _watch(self) -> None:
        """Tell a daemon that went silent from one that is gone: the poller itself is stuck then and cannot."""
        while not self._stop.wait(_WATCH_S):
            self._storage.watch()
            state, desk = self.board.snapshot.connection.state, self.poller.desk
            if state in (ConnectionState.LIVE, ConnectionState.CONNECTING) and desk.busy_for_s() > _SILENT_AFTER_S:
                self.board.set_link(ConnectionState.SILENT, "libvirt does not answer", read_ns=desk.read_ns)

    def _monitor_link(self) -> Any:
        if self._shared:
            return self._shared_link()
        return open_within(self.uri, read_only=self.read_only, deadline_s=_MONITOR_OPEN_S)

    def _shared_link(self) -> Any:
        connection = self.poller.connection
        if connection is None:
            raise ConnectError(self.uri, "not connected", None, "")
        return connection

    def control(self) -> Any:
        """Return the calling thread's own connection for short calls, opening it when needed: calls that a hung QEMU
        does not answer block all others on theirs. Raises OpError when the host does not answer within 10 s."""
        try:
            if self.uri == NO_LIBVIRT:
                raise ConnectError(self.uri, "virtdeck runs without libvirt", None, "")
            if self._shared:
                return self._shared_link()
            own = getattr(self._control_of, "connection", None) or self._take_spare()
            if own is None or not is_alive(own):
                self._control_of.connection = None
                if own is not None:
                    close(own)
                own = self._open_within_deadline()
            self._control_of.connection = own
            return own
        except ConnectError as error:
            raise _op_error(error) from error

    def leave(self) -> None:
        """Close the calling thread's connection; one such is kept for the thread that comes next."""
        own = getattr(self._control_of, "connection", None)
        self._control_of.connection = None
        with self._control_lock:
            if own is not None and self._spare is None and is_alive(own) and not self._stop.is_set():
                self._spare, own = own, None
        if own is not None:
            close(own)

    def _take_spare(self) -> Any | None:
        with self._control_lock:
            spare, self._spare = self._spare, None
            return spare

    def long(self, _limit_s: float = math.inf, /) -> Any:
        """Return a connection of the caller's own for long calls; give it back with `release`."""
        try:
            return self._shared_link() if self._shared else self._open_within_deadline()
        except ConnectError as error:
            raise _op_error(error) from error

    def release(self, connection: Any) -> None:
        """Close a connection that `long` gave."""
        if not self._shared:
            close(connection)

    def leave_images(self, key: str) -> AbstractContextManager[None]:
        """While inside, no figures of the images of that domain are asked for by this program."""
        return self.monitors.leave_images(key)

    @property
    def cancelled(self) -> bool:
        """Nobody cancels what is asked of the connections alone."""
        return False

    def progress(self, done: int, total: int | None) -> None:
        """Nobody looks at how far it has come."""

    def _open_within_deadline(self) -> Any:
        return open_within(self.uri, read_only=self.read_only, deadline_s=_OPEN_DEADLINE_S)


def _op_error(error: ConnectError) -> Exception:
    """The ops are imported when the first change is made, not before the first picture."""
    from tui.ops.base import OpError

    return OpError("connect to", error.uri, error.text, error.code, error.advice)
