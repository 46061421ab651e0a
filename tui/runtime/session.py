"""Reading one host over one connection, from the first picture until the connection breaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tui.model.host import ConnectionState, Host
from tui.sources import addresses
from tui.sources.connection import ConnectError, is_alive
from tui.sources.domains import DomainReader
from tui.sources.errors import LibvirtError, is_gone, is_lost, words
from tui.sources.host import read_host, refresh_host

if TYPE_CHECKING:
    from tui.model.domain import Address, Domain
    from tui.model.domain_detail import DomainDetail
    from tui.runtime.agents import AgentReader
    from tui.runtime.board import Board
    from tui.runtime.desk import Desk
    from tui.runtime.host_reader import HostReader
    from tui.runtime.monitors import MonitorReader

RESYNC_S = 12.0
# What is read only to catch what no event tells may cost this share of one CPU; on a host of thousands of domains it
# is read less often instead.
_SAFETY_SHARE = 0.0002
# The same for what no event tells at all.
_UNTOLD_SHARE = 0.0005
_XML_MAX_AGE_S = 20.0
_GATHER_S = 0.02
# How often to look after the monitors while several of them may be stuck.
_PROBE_S = 0.5
_LEASES_S = 10.0
_HOST_S = 10.0
_SNAPSHOTS_S = 60.0


class Session:
    """The reading on one connection; created and used on the poller's thread."""

    def __init__(
        self, connection: Any, desk: Desk, board: Board, monitors: MonitorReader, agents: AgentReader, interval_s: float
    ) -> None:
        self._connection = connection
        self._desk = desk
        self._board = board
        self._monitors = monitors
        self._agents = agents
        self._interval_s = interval_s
        self._uri = board.snapshot.connection.uri
        self._reader = DomainReader(connection)
        self._host: Host | None = None
        self._has_events = False
        self._ticks_tell = True
        self._due: dict[str, float] = {}
        self._leases: dict[str, list[Address]] = {}
        self._neighbours: dict[str, list[Address]] = {}
        self._told = agents.addresses()
        self._joined: tuple[Any, ...] | None = None
        """What the addresses that are published were made of."""
        self._detail: DomainDetail | None = None
        self._xml_left = False
        self._host_reader: HostReader | None = None

    def run(self) -> None:
        """Read and publish until stopped or the connection breaks."""
        desk = self._desk
        self._first_picture()
        while not desk.stopped:
            desk.rest(self._wait_s())
            if desk.stopped:
                return
            # Events come in bursts (a start is four of them); one reading serves them all.
            time.sleep(_GATHER_S)
            desk.work()
            self._check_link()
            self._round()

    def _wait_s(self) -> float:
        if self._xml_left:
            return 0.0
        rest_s = max(0.0, min(self._due.values(), default=0.0) - time.monotonic())
        if self._host_reader is not None and (host_s := self._host_reader.wait_s(self._desk.focus.host)) is not None:
            rest_s = min(rest_s, host_s)
        return min(rest_s, _PROBE_S) if self._monitors.probing else rest_s

    def _check_link(self) -> None:
        if self._desk.broken or not is_alive(self._connection):
            raise ConnectError(self._uri, self._desk.broken or "the connection broke", None, "")

    def _first_picture(self) -> None:
        self._has_events = self._desk.events.register(self._connection)
        self._reader.resync()
        self._publish_domains(link=True)
        self._host = read_host(self._connection, self._uri)
        self._board.update(host=self._host)
        now = time.monotonic()
        self._due = {
            "tick": now + self._interval_s,
            "flags": now,
            "resync": now + RESYNC_S,
            "leases": now,
            "host": now + _HOST_S,
            "snapshots": now,
        }

    def _publish_domains(self, *, link: bool = False) -> None:
        self._forget_processes()
        self._board.update(
            done="domains",
            domains=self._reader.domains(),
            domains_read_ns=self._read_ns(),
            traffic=self._reader.traffic.traffic(),
            events=self._desk.events.history(),
            monitors=self._monitors.stuck(),
        )
        if link:
            self._board.set_link(ConnectionState.LIVE)

    def _forget_processes(self) -> None:
        """Drop the QEMUs of domains that just ended: they would count as unmanaged until the next scan."""
        old, new = self._board.snapshot, self._reader.domains()
        if new is old.domains or not old.processes:
            return
        running = {key for key, domain in new.items() if domain.active}
        ended = {key for key, domain in old.domains.items() if domain.active} - running
        kept = {key: process for key, process in old.processes.items() if process.uuid not in ended}
        if len(kept) != len(old.processes):
            self._board.update(processes=kept)

    def _read_ns(self) -> int:
        """While live the list is right up to now; a new instant is published only with other news."""
        old = self._board.snapshot
        news = self._reader.domains() is not old.domains or not old.connection.live
        return time.time_ns() if news or old.domains_read_ns is None else old.domains_read_ns

    def _round(self) -> None:
        if self._desk.take_reread():
            self._due = dict.fromkeys(self._due, 0.0)
            self._reader.mark_stale(self._desk.focus.visible)
            if self._host_reader is not None:
                self._host_reader.reread()
        self._try("changed domains", self._take_dirty)
        if self._has_events:
            self._every("resync", RESYNC_S, self._reader.resync)
        else:
            self._every("resync", self._interval_s, self._reader.resync, share=_UNTOLD_SHARE)
        self._every("flags", RESYNC_S, self._reader.read_flags)
        self._every("tick", self._interval_s, self._tick, share=1.0)
        self._every("leases", _LEASES_S, self._read_leases, share=_UNTOLD_SHARE)
        self._every("host", _HOST_S, self._refresh_host)
        if not self._desk.quick:
            self._every("snapshots", _SNAPSHOTS_S, self._reader.read_snapshot_ages)
        self._monitors.supervise(self._control_info)
        self._try("configurations", self._read_configs)
        self._try("detail", self._read_detail)
        self._take_guest()
        self._try("host CPUs", self._read_host_cpus)
        if self._agents.addresses() is not self._told:
            self._publish_addresses()
        self._publish_domains()
        self._board.set_link(ConnectionState.LIVE)
        self._desk.read_ns = time.time_ns()

    def _every(self, name: str, period_s: float, work: Callable[[], None], share: float = _SAFETY_SHARE) -> None:
        """Do `work` when it is due; the next time is `period_s` later, or as much later as its CPU time asks for."""
        now = time.monotonic()
        if now < self._due[name]:
            return
        before = time.thread_time()
        self._try(name, work)
        self._due[name] = now + max(period_s, (time.thread_time() - before) / share)

    def _try(self, name: str, work: Callable[[], None]) -> None:
        """Do `work`; what libvirt refuses is told and the rest goes on, only a lost connection ends the session."""
        try:
            work()
        except LibvirtError as error:
            if is_lost(error) or not is_alive(self._connection):
                raise
            self._board.note_problem(name, f"{name} cannot be read: {words(error)}")
        else:
            self._board.note_problem(name, "")

    def _take_dirty(self) -> None:
        dirty = self._desk.events.take_dirty()
        asked = self._desk.take_asked()
        changed = asked | {key for key, more in dirty.items() if more}
        self._reader.refresh_states(dirty.keys() - changed)
        self._reader.refresh(changed)
        if self._detail is not None and self._detail.key in changed:
            self._detail = None

    def _tick(self) -> None:
        # Without counters the states alone would be read; events and the resync tell those.
        if self._ticks_tell:
            self._ticks_tell = self._reader.tick()

    def _read_leases(self) -> None:
        self._leases = addresses.read_leases(self._connection)
        self._neighbours = addresses.read_neighbours() if self._host and self._host.local else {}
        self._publish_addresses()

    def _publish_addresses(self) -> None:
        self._told = self._agents.addresses()
        domains, before = self._reader.domains(), self._joined
        self._joined = domains, self._told, self._leases, self._neighbours
        if before is None or domains is not before[0] or self._joined[1:] != before[1:]:
            found = addresses.join(domains.values(), self._leases, self._told, self._neighbours)
            if found != self._board.snapshot.addresses:
                self._board.update(addresses=found, addresses_read_ns=time.time_ns())
        self._board.update(done="addresses")

    def _refresh_host(self) -> None:
        if self._host is not None:
            self._host = refresh_host(self._connection, self._host)
            self._board.update(host=self._host)

    def _read_host_cpus(self) -> None:
        looked_at = self._desk.focus.host
        if self._host_reader is None:
            if not looked_at:
                return
            from tui.runtime.host_reader import HostReader
            from tui.sources.host_cpus import read_counters, read_host_cpus

            of_host = self._connection, self._uri
            self._host_reader = HostReader(
                self._board, partial(read_host_cpus, *of_host), partial(read_counters, *of_host)
            )
        self._host_reader.round(looked_at)

    def _control_info(self, key: str) -> tuple[int, int] | None:
        handle = self._reader.handle(key)
        if handle is None:
            return None
        try:
            state, _details, state_ms = handle.controlInfo(0)
        except LibvirtError as error:
            if is_lost(error):
                raise
            return None
        return int(state), int(state_ms)

    def _read_configs(self) -> None:
        self._xml_left = False
        if self._desk.quick:
            return
        first = [key for key in (self._desk.focus.detail, *self._desk.focus.visible) if key]
        self._xml_left = self._reader.read_configs(first, _XML_MAX_AGE_S)
        if self._reader.trouble:
            self._board.note_problem("domains", self._reader.trouble)
            self._reader.trouble = ""
        if not self._xml_left and "configs" in self._board.snapshot.unread:
            self._board.update(done="configs", domains=self._reader.domains())
            self._publish_addresses()
            self._monitors.nudge()

    def _read_detail(self) -> None:
        key = self._desk.focus.detail
        domain = self._reader.domains().get(key) if key else None
        if key is None or domain is None:
            return
        handle = self._reader.handle(key)
        if handle is None or not self._detail_is_old(domain):
            return
        from tui.sources.detail import read_detail

        try:
            host = self._board.snapshot.host
            fresh = read_detail(
                handle,
                active=domain.active,
                persistent=domain.persistent is not False,
                host_cpus=host.cpus if host is not None else None,
            )
        except LibvirtError as error:
            if not is_gone(error):
                raise
            return
        self._detail = replace(fresh, guest=self._agents.vcpus(key))
        self._board.update(detail=self._detail)

    def _take_guest(self) -> None:
        """Publish what the agent of the open domain said since its detail was read."""
        if self._detail is None or (guest := self._agents.vcpus(self._detail.key)) == self._detail.guest:
            return
        self._detail = replace(self._detail, guest=guest)
        self._board.update(detail=self._detail)

    def _detail_is_old(self, domain: Domain) -> bool:
        detail = self._detail
        if detail is None or detail.key != domain.key:
            return True
        if domain.config_read_ns is not None and domain.config_read_ns > detail.read_ns:
            return True
        age_s = (time.time_ns() - detail.read_ns) / 1e9
        return domain.active and age_s > max(4.0, self._interval_s)
