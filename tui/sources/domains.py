"""Domains read in bulk: list, states, flags; XML only when it may have changed, parsed only when it did."""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import libvirt

from tui.model.domain import Domain, DomainState, reason_of, state_of
from tui.model.text import clean
from tui.sources.errors import is_gone, is_lost, words
from tui.sources.stats import TrafficReader

if TYPE_CHECKING:
    from tui.model.domain_config import Difference, DomainConfig

_MOST_ROOTS = 16
_LIST_FLAGS = {
    "persistent": libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT,
    "autostart": libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART,
    "managed_save": libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE,
    "snapshots": libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT,
    "checkpoints": libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT,
}
_XML_FLAGS = 0
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Control characters in names and titles come out as they are.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A slice of a round: long enough to get through thousands in seconds, short enough to leave the interpreter to the
# screen, whose thread would wait for it.
_STALE_SLICE_S = 0.05
_AGED_SLICE_S = 0.001
_AGED_AT_ONCE = 32


@dataclass(slots=True)
class _Record:
    """What is kept per domain between readings: the libvirt handle, and the XML seen last as hashes."""

    handle: Any
    domain: Domain
    live_hash: int | None = None
    persistent_hash: int | None = None
    live: DomainConfig | None = None
    persistent: DomainConfig | None = None
    checked_s: float = 0.0


class DomainReader:
    """Reads the domains of one connection on the caller's thread; every method may raise libvirtError when the
    connection is lost. Nothing here asks a QEMU monitor, so a hung guest cannot block it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._records: dict[str, _Record] = {}
        self._stale: dict[str, None] = {}
        """Those whose XML may have changed, in the order in which that became known."""
        self._turns: deque[str] = deque()
        """All of them, about in the order in which their XML was checked last."""
        self._snapshot: Mapping[str, Domain] = {}
        self._changed = True
        self._flags_missing: set[str] = set()
        self.traffic = TrafficReader()
        self.trouble = ""
        """What libvirt said of the last domain that could not be read; cleared by who tells of it."""

    def domains(self) -> Mapping[str, Domain]:
        """Return the domains by UUID as last read; the same object while nothing changed."""
        if self._changed:
            self._snapshot = {key: record.domain for key, record in self._records.items()}
            self._changed = False
        return self._snapshot

    def handle(self, key: str) -> Any | None:
        """Return the libvirt handle of a domain, None when it is not known."""
        record = self._records.get(key)
        return None if record is None else record.handle

    def active(self) -> list[str]:
        """Return the UUIDs of the domains with a running emulator."""
        return [key for key, record in self._records.items() if record.domain.active]

    def _put(self, record: _Record, domain: Domain) -> None:
        if record.domain != domain:
            record.domain = domain
            self._changed = True

    def resync(self) -> None:
        """Read list and states of all domains in two calls (virConnectListAllDomains, virConnectGetAllDomainStats)."""
        handles = {handle.UUIDString(): handle for handle in self._connection.listAllDomains(0)}
        states = self._states()
        for key in [key for key in self._records if key not in handles]:
            self._drop(key)
        for key, handle in handles.items():
            number, reason = states.get(key) or (0, 0)
            if key in self._records:
                self._renew(self._records[key], handle, number, reason)
            else:
                self._add(key, _domain(handle, key, number, reason), handle)

    def _add(self, key: str, domain: Domain, handle: Any) -> _Record:
        record = self._records[key] = _Record(handle, domain)
        self._stale[key] = None
        self._turns.append(key)
        self._changed = True
        return record

    def _states(self) -> dict[str, tuple[int, int]]:
        stats = self._connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
        return {
            handle.UUIDString(): (values.get("state.state", 0), values.get("state.reason", 0))
            for handle, values in stats
        }

    def _renew(self, record: _Record, handle: Any, number: int, reason: int) -> None:
        old, raw_name = record.domain, handle.name()
        state = state_of(number)
        words, ident = reason_of(state, reason), _ident(handle, state)
        if (old.raw_name, old.id, old.state, old.reason) == (raw_name, ident, state, words):
            return
        if old.state.active != state.active or old.id != ident:
            self._stale[old.key] = None
        record.handle = handle
        self._put(record, replace(old, name=clean(raw_name), raw_name=raw_name, id=ident, state=state, reason=words))

    def _drop(self, key: str) -> None:
        if self._records.pop(key, None) is not None:
            self._turns.remove(key)
        self._stale.pop(key, None)
        self.traffic.forget(key)
        self._changed = True

    def read_flags(self) -> None:
        """Read persistence, autostart, managed save, snapshots and checkpoints of all domains, one list call for
        each."""
        found: dict[str, set[str]] = {}
        for name, flag in _LIST_FLAGS.items():
            if name in self._flags_missing:
                continue
            try:
                found[name] = {handle.UUIDString() for handle in self._connection.listAllDomains(flag)}
            except libvirt.libvirtError as error:
                if error.get_error_code() not in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INVALID_ARG):
                    raise
                self._flags_missing.add(name)
        for key, record in self._records.items():
            flags = {name: key in members for name, members in found.items()}
            old = record.domain
            if any(getattr(old, name) != value for name, value in flags.items()):
                if old.persistent is not None and flags.get("persistent") != old.persistent:
                    self._stale[key] = None
                self._put(record, _with_flags(old, flags))

    def read_snapshot_ages(self) -> None:
        """Read when the oldest DomainSnapshot of each domain was made: it is one of those without a parent."""
        for key, record in list(self._records.items()):
            with self._one_domain(key):
                oldest_s = oldest_snapshot_s(record.handle) if record.domain.snapshots else None
                if oldest_s != record.domain.oldest_snapshot_s:
                    self._put(record, replace(record.domain, oldest_snapshot_s=oldest_s))

    def tick(self) -> bool:
        """Read state and NIC counters of the active domains in one call; False when the driver has no counters, so
        that nothing was learned that events do not tell."""
        groups = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_INTERFACE
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
        stats = self._connection.getAllDomainStats(groups, flags)
        now = time.time_ns()
        counted = not stats
        seen: set[str] = set()
        for handle, values in stats:
            key = handle.UUIDString()
            seen.add(key)
            record = self._records.get(key)
            if record is not None:
                self._renew(record, handle, values["state.state"], values.get("state.reason", 0))
            counted = self.traffic.feed(key, values, now) or counted
        for key in [key for key in self.active() if key not in seen]:
            self.refresh([key])
        self.traffic.keep_only(seen)
        return counted

    def refresh(self, keys: Iterable[str]) -> None:
        """Read the named domains again one by one after events; those that are gone are dropped, new ones added."""
        for key in keys:
            if _UUID.fullmatch(key) is not None:
                with self._one_domain(key):
                    self._refresh_one(key)

    def _refresh_one(self, key: str) -> None:
        handle = self._connection.lookupByUUIDString(key)
        state, reason = handle.state()
        record = self._records.get(key)
        if record is None:
            record = self._add(key, _domain(handle, key, state, reason), handle)
        self._renew(record, handle, state, reason)
        self._stale[key] = None
        self._put(record, _with_flags(record.domain, _own_flags(handle)))

    def refresh_states(self, keys: Iterable[str]) -> None:
        """Read the states of the named domains again (virDomainGetState)."""
        for key in keys:
            record = self._records.get(key)
            if record is None:
                self.refresh([key])
                continue
            with self._one_domain(key):
                self._renew(record, record.handle, *record.handle.state())

    def mark_stale(self, keys: Iterable[str]) -> None:
        """Have the XML of the named domains read again at the next chance."""
        for key in keys:
            if key in self._records:
                self._stale[key] = None

    def read_configs(self, first: Iterable[str], max_age_s: float) -> bool:
        """Read the XML of stale domains, the named ones first; and of some of those not checked for `max_age_s`, since
        persistent-only edits have no event: all of the named ones, and as many others as a small budget allows.
        Returns whether stale ones remain."""
        now = time.monotonic()
        named = [key for key in dict.fromkeys(first) if self._is_due(key, now, max_age_s)]
        settled = not self._stale
        self._read_until(now + _STALE_SLICE_S, [*named, *(key for key in self._stale if key not in named)])
        if settled:
            self._read_until(time.monotonic() + _AGED_SLICE_S, self._next_aged(now, max_age_s))
        return bool(self._stale)

    def _read_until(self, end: float, keys: Iterable[str]) -> None:
        for key in keys:
            if time.monotonic() >= end:
                return
            self._read_config(key)

    def _is_due(self, key: str, now: float, max_age_s: float) -> bool:
        record = self._records.get(key)
        return record is not None and (key in self._stale or now - record.checked_s > max_age_s)

    def _next_aged(self, now: float, max_age_s: float) -> Iterator[str]:
        """Those of the next few whose turn it is that are due; thousands are not gone through in one round."""
        for _ in range(min(_AGED_AT_ONCE, len(self._turns))):
            key = self._turns[0]
            if self._is_due(key, now, max_age_s):
                yield key
            # Reading it may have shown that it is gone.
            if key in self._records:
                self._turns.rotate(-1)

    def _read_config(self, key: str) -> None:
        record = self._records.get(key)
        if record is None:
            return
        with self._one_domain(key):
            self._read_xml(record)
        self._stale.pop(key, None)
        record.checked_s = time.monotonic()

    @contextmanager
    def _one_domain(self, key: str) -> Iterator[None]:
        """What libvirt refuses for one domain (a policy, a broken file) must not hide the others: it is kept in
        `trouble`; a domain that is gone is dropped; a lost connection raises."""
        try:
            yield
        except libvirt.libvirtError as error:
            if is_lost(error):
                raise
            if is_gone(error):
                self._drop(key)
                return
            record = self._records.get(key)
            self.trouble = f"{record.domain.name if record else key}: {words(error)}"

    def _read_xml(self, record: _Record) -> None:
        domain = record.domain
        both = domain.active and domain.persistent is not False
        text = record.handle.XMLDesc(_XML_FLAGS)
        changed = hash(text) != record.live_hash
        if changed:
            record.live, record.live_hash = _parse(text), hash(text)
        if both:
            text = record.handle.XMLDesc(_XML_FLAGS | libvirt.VIR_DOMAIN_XML_INACTIVE)
            if hash(text) != record.persistent_hash:
                record.persistent, record.persistent_hash = _parse(text), hash(text)
                changed = True
        elif record.persistent_hash is not None:
            record.persistent, record.persistent_hash, changed = None, None, True
        if changed or domain.config_read_ns is None:
            later = record.persistent if both else None if domain.active else record.live
            found = replace(domain, config=record.live, persistent_config=later, differences=_differences(record))
            self._put(record, replace(found, config_read_ns=time.time_ns()))


def _with_flags(domain: Domain, flags: Mapping[str, bool]) -> Domain:
    return replace(
        domain,
        persistent=flags.get("persistent", domain.persistent),
        autostart=flags.get("autostart", domain.autostart),
        managed_save=flags.get("managed_save", domain.managed_save),
        snapshots=flags.get("snapshots", domain.snapshots),
        checkpoints=flags.get("checkpoints", domain.checkpoints),
    )


def _parse(xml: str) -> DomainConfig | None:
    """What libvirt writes and XML 1.0 does not have is replaced; what does not parse then is unknown."""
    # Imported with the first XML, which is after the first picture.
    from xml.etree.ElementTree import ParseError

    from tui.model.domain_xml import parse_domain_xml

    with contextlib.suppress(ParseError):
        return parse_domain_xml(xml)
    with contextlib.suppress(ParseError):
        return parse_domain_xml(_NOT_XML.sub("\ufffd", xml))
    return None


def _differences(record: _Record) -> tuple[Difference, ...]:
    if record.live is None or record.persistent is None:
        return ()
    from tui.model.domain_xml import differences

    return differences(record.live, record.persistent)


def _own_flags(handle: Any) -> dict[str, bool]:
    flags: dict[str, bool] = {}
    for name, call in (
        ("persistent", handle.isPersistent),
        ("autostart", handle.autostart),
        ("managed_save", lambda: handle.hasManagedSaveImage(0)),
        ("snapshots", lambda: handle.snapshotNum(0)),
        ("checkpoints", lambda: handle.listAllCheckpoints(0)),
    ):
        try:
            flags[name] = bool(call())
        except libvirt.libvirtError as error:
            # Transient domains have no autostart, some drivers no snapshots: that flag stays as it was.
            if is_gone(error):
                raise
    return flags


def oldest_snapshot_s(handle: Any) -> int | None:
    """Return when the oldest snapshot of a domain was made, seconds since the epoch; None: it has none, or the driver
    does not tell (virDomainListAllSnapshots). Raises libvirtError."""
    from xml.etree import ElementTree as ET

    roots = handle.listAllSnapshots(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_ROOTS)
    texts = (ET.fromstring(snapshot.getXMLDesc()).findtext("creationTime") for snapshot in roots[:_MOST_ROOTS])
    return min((int(text) for text in texts if text is not None and text.isdecimal()), default=None)


def _ident(handle: Any, state: DomainState) -> int | None:
    """The domain's id; a handle keeps the one that it was looked up with, even when the domain has stopped since."""
    ident = int(handle.ID())
    return None if ident < 0 or state is DomainState.SHUTOFF else ident


def _domain(handle: Any, key: str, number: int, reason: int) -> Domain:
    raw_name, state = handle.name(), state_of(number)
    return Domain(
        key=key,
        name=clean(raw_name),
        raw_name=raw_name,
        id=_ident(handle, state),
        state=state,
        reason=reason_of(state, reason),
    )
