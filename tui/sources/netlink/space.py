"""What is known of one network namespace, and its re-reading."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tui.model.default_links import DEFAULT_LINKS
from tui.model.link import FdbEntry, Link, LinkAddress, LinkDetail, LinkNeighbour, Netns, Offload, Route, Rule, link_key
from tui.model.text import clean
from tui.sources import namespaces
from tui.sources.netlink.addresses import read_addresses, read_fdb, read_neighbours
from tui.sources.netlink.counters import Counters, read_counters
from tui.sources.netlink.ethtool import Ethtool
from tui.sources.netlink.events import Marks, Part
from tui.sources.netlink.links import (
    Beside,
    Resolve,
    index_of,
    is_idle_default,
    parse_link,
    read_link,
    read_links,
)
from tui.sources.netlink.routes import read_routes
from tui.sources.netlink.rules import read_rules
from tui.sources.netlink.settings import read_settings
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.vlans import read_vlans
from tui.sources.qemu_proc import read_link as read_symlink

T = TypeVar("T")

DUMP_ABOVE = 64
"""So many changed links of one namespace are read in one dump."""
# What the speed of is of interest: of taps, veths and bridges drivers tell numbers that mean nothing.
_WITH_SPEED = frozenset({"bond", "team", "vlan"})
_FORWARDING = frozenset({"bridge", "vxlan"})
# IFLA_INFO_KIND of these, which is all that has to be known before a message is read whole.
_BRIDGES = re.compile(rb"\x01\x00(?:bridge|vxlan)\x00")
_BESIDE = Part.SETTINGS | Part.VLANS
_INSIDE = Part.ROUTES | Part.RULES | Part.SETTINGS | Part.VLANS | Part.NEIGHBOURS


@dataclass(slots=True)
class Space:
    """One namespace; tables are replaced when they changed and kept as they are when they did not."""

    netns: Netns
    way: str
    """A file to enter it by; "" where we may not."""
    links: dict[int, Link] = field(default_factory=dict)
    addresses: Mapping[int, tuple[LinkAddress, ...]] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    neighbours: Mapping[int, tuple[LinkNeighbour, ...]] = field(default_factory=dict)
    fdb: Mapping[int, tuple[FdbEntry, ...]] = field(default_factory=dict)
    beside: Beside = field(default_factory=Beside)
    lacks: frozenset[str] = frozenset()
    """What this kernel does not tell."""
    routes_doubtful: bool = False
    """Whether a link came up or went down since the routes were read: their flags change then, and no event tells."""

    @property
    def key(self) -> str:
        """The key of the namespace."""
        return self.netns.key

    @property
    def target(self) -> int | None:
        """The nsid to ask the home socket with; None at home."""
        return None if self.netns.home else self.netns.nsid

    def shown(self) -> list[Link]:
        """Return its links by ifindex, without those that come with a module and that nobody uses."""
        return [
            link
            for _index, link in sorted(self.links.items())
            if link.raw_name not in DEFAULT_LINKS or not is_idle_default(link, link.index in self.addresses)
        ]

    def read(self, home: NetlinkSocket, marks: Marks, resolve: Resolve) -> set[str]:
        """Read again what is marked; return the keys of links that came, went or changed. Raises OSError when the
        namespace is gone."""
        changed: set[str] = set()
        bodies: list[bytes] = []
        whole = marks.all_links or len(marks.links) > DUMP_ABOVE
        if whole:
            bodies = read_links(home, self.target)
        else:
            for index in marks.links:
                changed |= self._read_one(home, index, resolve)
        if marks.parts & _INSIDE:
            bridges = any(map(_forwards, self.links.values())) or any(map(_BRIDGES.search, bodies))
            with self._inside(home) as socket:
                self._read_inside(socket, marks.parts, bridges=bridges)
        if Part.ADDRESSES in marks.parts:
            self.addresses = kept(self.addresses, read_addresses(home, self.target))
        if whole:
            # After the rest, so that each link is made once with what the rest says of it.
            changed = self._take_all(bodies, resolve)
        if self._read_speeds(changed) or marks.parts & _BESIDE:
            changed |= self._apply_beside()
        return changed

    def counters(self, home: NetlinkSocket) -> dict[int, Counters]:
        """Return the counters of its links by ifindex; raises OSError."""
        with self._inside(home) as socket:
            return read_counters(socket)

    def detail(self, link: Link) -> LinkDetail:
        """Return what is read of one of its links alone."""
        driver = (
            os.path.basename(read_symlink(f"/sys/class/net/{link.raw_name}/device/driver")) if self.netns.home else ""
        )
        try:
            with self._entered(), Ethtool() as ethtool:
                offloads = tuple(Offload(*one) for one in ethtool.offloads(link.index))
        except OSError as error:
            return LinkDetail(link.key, driver=clean(driver), problem=clean(error.strerror or str(error)))
        return LinkDetail(link.key, offloads, clean(driver))

    def _entered(self) -> AbstractContextManager[None]:
        """This namespace, for the calling thread; our own is entered without the right to."""
        return nullcontext() if self.netns.home else namespaces.entered(self.way, self.key)

    @contextmanager
    def _inside(self, home: NetlinkSocket) -> Iterator[NetlinkSocket]:
        """A socket in this namespace; our own is entered without the right to."""
        if self.netns.home:
            yield home
            return
        with namespaces.inside(self.way, self.key) as socket:
            yield socket

    def _take_all(self, bodies: Iterable[bytes], resolve: Resolve) -> set[str]:
        fresh = {index_of(body): self._parse(body, resolve) for body in bodies}
        old, self.links = self.links, {index: self._taken(link) for index, link in fresh.items()}
        gone = {link.key for index, link in old.items() if index not in fresh}
        return gone | {link.key for index, link in self.links.items() if link is not old.get(index)}

    def _read_one(self, home: NetlinkSocket, index: int, resolve: Resolve) -> set[str]:
        key = link_key(self.key, index)
        try:
            link = self._parse(read_link(home, self.target, index), resolve)
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise
            return {key} if self.links.pop(index, None) is not None else set()
        old = self.links.get(index)
        self.links[index] = self._taken(link)
        return {key} if self.links[index] is not old else set()

    def _taken(self, link: Link) -> Link:
        """The link as it was known where it is the same."""
        old = self.links.get(link.index)
        if old is not None and (old.up, old.carrier) != (link.up, link.carrier):
            self.routes_doubtful = True
        return _same(old, link)

    def _parse(self, body: bytes, resolve: Resolve) -> Link:
        return parse_link(body, self.key, resolve, self.beside, home=self.netns.home)

    def _read_inside(self, socket: NetlinkSocket, parts: Part, *, bridges: bool) -> None:
        """Read what can only be read by a socket in the namespace; without bridges it has no VLANs and no FDB."""
        if Part.SETTINGS in parts:
            settings, conf = read_settings(socket)
            self.beside.conf = kept(self.beside.conf, conf)
            if settings != self.netns.settings:
                self.netns = replace(self.netns, settings=settings)
        if Part.VLANS in parts:
            self.beside.vlans = kept(self.beside.vlans, read_vlans(socket) if bridges else {})
        if Part.ROUTES in parts:
            self.routes = _same_each(self.routes, read_routes(socket, self.key))
        if Part.RULES in parts:
            self.rules = _same_each(self.rules, read_rules(socket, self.key))
        if Part.NEIGHBOURS in parts:
            self.neighbours = kept(self.neighbours, read_neighbours(socket))
            self.fdb = kept(self.fdb, read_fdb(socket) if bridges else {})

    def _read_speeds(self, changed: set[str]) -> bool:
        """Ask for the speed of what changed and has one, and return whether there was such; a kernel without ethtool
        netlink tells none."""
        having = {link.index: link.key for link in self.links.values() if link.physical or link.kind in _WITH_SPEED}
        if self.beside.speeds.keys() - having.keys():
            self.beside.speeds = {index: speed for index, speed in self.beside.speeds.items() if index in having}
        asked = [index for index, key in having.items() if key in changed]
        if not asked:
            return False
        try:
            with self._entered(), Ethtool() as ethtool:
                self.beside.speeds = {**self.beside.speeds, **{index: ethtool.speed(index) for index in asked}}
        except NetlinkError as error:
            # The generic netlink family is not there: ENOENT.
            if error.unsupported or error.errno == errno.ENOENT:
                self.lacks = frozenset({"speed of links"})
            return False
        return True

    def _apply_beside(self) -> set[str]:
        """Put what the other messages say into the links."""
        changed = set()
        for index, link in self.links.items():
            if not self.beside.fits(link):
                self.links[index] = replace(link, **self.beside.of(index))
                changed.add(link.key)
        return changed


def _forwards(link: Link) -> bool:
    return link.kind in _FORWARDING


def _same(old: T | None, new: T) -> T:
    """The old object where it is equal."""
    return old if old is not None and old == new else new


def _same_each(old: tuple[T, ...], new: tuple[T, ...]) -> tuple[T, ...]:
    """The old tuple where it is equal, else one in which what was there before is the same object."""
    if old == new:
        return old
    known = {item: item for item in old}
    return tuple(known.get(item, item) for item in new)


def kept(old: Mapping[int, T], new: Mapping[int, T]) -> Mapping[int, T]:
    """Return the old mapping where it is equal, else the new one with the old objects where those are equal."""
    if old == new:
        return old
    return {key: _same(old.get(key), value) for key, value in new.items()}
