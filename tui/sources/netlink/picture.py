"""The whole picture: all namespaces with their links, kept up to date by re-reading what was marked."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from tui.model.link import Link, LinkDetail, Links, LinkUsage, TapOwner
from tui.model.text import clean
from tui.sources.namespaces import HOME_PATH, Discovery, Found, describe, may_enter, opened
from tui.sources.netlink.counters import Counters, usage_of
from tui.sources.netlink.events import ALL_PARTS, Dirty, Marks, Part
from tui.sources.netlink.nsids import nsid_of, numbered
from tui.sources.netlink.sockets import NetlinkError, NetlinkSocket
from tui.sources.netlink.space import Space
from tui.sources.taps import TAP_KINDS, read_tap_owners

T = TypeVar("T")
_log = logging.getLogger("virtdeck.links")

_REREADS = 3
"""How often a peer is read again that does not name its peer in turn: moving one end tells nothing of the other."""


class Picture:
    """What is known of all namespaces; to be used on one thread, which enters namespaces and comes back."""

    def __init__(self) -> None:
        """Open a socket at home and read nothing yet; raises OSError."""
        self._home = NetlinkSocket()
        self._discovery = Discovery()
        self._spaces: dict[str, Space] = {}
        self._by_nsid: dict[int, str] = {}
        self._unknown: set[int] = set()
        self._lacks: set[str] = set()
        self._hopeless: set[int] = set()
        self._taps: list[Link] = []
        self._owners: Mapping[str, tuple[TapOwner, ...]] = {}
        self._links: Links | None = None
        self._counters: dict[str, Counters] = {}
        self._counted_ns = 0
        self.privileged = may_enter()
        """Whether other namespaces can be read."""
        self.home_nsid: int | None = None

    def close(self) -> None:
        """Close its socket."""
        self._home.close()

    def refresh(self, dirty: Dirty) -> None:
        """Read again what is marked, and what turns out to hang on it. Raises OSError only for our own namespace."""
        changed = self._take_news(dirty) | self._read(dirty)
        for _ in range(_REREADS):
            dirty = self._beyond(changed)
            if not dirty:
                return
            changed = self._take_news(dirty) | self._read(dirty)

    def _take_news(self, dirty: Dirty) -> set[str]:
        """Find the namespaces that came and went; return the keys of links that went with them."""
        gone: set[str] = set()
        for nsid in dirty.dead:
            self._hopeless.discard(nsid)
            if (key := self._by_nsid.get(nsid)) is not None and not self._spaces[key].netns.home:
                gone |= self._drop(key)
        # A number that was given anew is another namespace's than the one that was not found by it.
        self._hopeless -= dirty.fresh
        unheard = {nsid for nsid in dirty.spaces if nsid is not None} - dirty.dead | dirty.fresh
        strange = unheard - self._by_nsid.keys() - self._hopeless - {self.home_nsid}
        if dirty.namespaces or dirty.files or dirty.dead or dirty.everything or strange:
            thorough = dirty.namespaces or dirty.everything or bool(strange)
            gone |= self._search(dirty, thorough=thorough)
            self._hopeless |= strange - self._by_nsid.keys()
        if dirty.everything:
            self._mark_all(dirty)
        return gone

    def _mark_all(self, dirty: Dirty) -> None:
        for space in self._spaces.values():
            if self._may_read(space):
                dirty.spaces[space.target] = Marks(all_links=True, parts=ALL_PARTS)
        dirty.everything = False

    def _search(self, dirty: Dirty, *, thorough: bool) -> set[str]:
        """Look for namespaces; new ones are marked to be read. Returns the keys of links of those that are gone."""
        found = self._discovery.look(processes=thorough)
        gone: set[str] = set()
        for key in self._spaces.keys() - found.keys():
            gone |= self._drop(key)
        came = False
        for key, one in found.items():
            if key in self._spaces and (self._spaces[key].netns.home or self._is_still(one, thorough)):
                self._rename(one)
                continue
            if key in self._spaces:
                gone |= self._drop(key)
            came |= self._add(one, dirty)
        if came:
            self._mark_unseen(dirty)
        return gone

    def _is_still(self, found: Found, thorough: bool) -> bool:
        """Whether a known namespace is the one that is there now: the number of its file may have been used again."""
        if not thorough or not self.privileged:
            return True
        nsid = self._nsid(found, give=False)
        return nsid is not None and nsid == self._spaces[found.key].netns.nsid

    def _rename(self, found: Found) -> None:
        space = self._spaces[found.key]
        space.way = found.way
        old = space.netns
        if old.paths == tuple(found.paths) and (old.home or old.pid == (found.pids[0] if found.pids else None)):
            return
        fresh = describe(found, old.nsid, home=old.home)
        space.netns = replace(fresh, settings=old.settings, problem=old.problem)

    def _add(self, found: Found, dirty: Dirty) -> bool:
        """Take up a namespace and have it read; return whether it was there."""
        home = found.ways[0] == HOME_PATH
        nsid = self._nsid(found, give=True)
        if nsid is None and not home and self.privileged:
            return False
        netns = describe(found, nsid, home=home)
        if home:
            self.home_nsid = nsid
        elif not self.privileged:
            netns = replace(netns, problem=_why_not())
        space = self._spaces[found.key] = Space(netns, found.way)
        if nsid is not None:
            self._by_nsid[nsid] = found.key
            self._hopeless.discard(nsid)
        if not netns.problem:
            dirty.spaces[space.target] = Marks(all_links=True, parts=ALL_PARTS)
        return True

    def _nsid(self, found: Found, *, give: bool) -> int | None:
        """The number of a namespace; None when it has none, or is gone."""
        try:
            with opened(found.way, found.key) as descriptor:
                return numbered(self._home, descriptor) if give else nsid_of(self._home, descriptor)
        except OSError:
            return None

    def _drop(self, key: str) -> set[str]:
        space = self._spaces.pop(key)
        if space.netns.nsid is not None and self._by_nsid.get(space.netns.nsid) == key:
            del self._by_nsid[space.netns.nsid]
        return {link.key for link in space.links.values()}

    def _mark_unseen(self, dirty: Dirty) -> None:
        """What lay in a namespace that was not known may lie in one that is known now."""
        for space in self._spaces.values():
            for link in space.links.values():
                if link.parent_netns_unseen:
                    dirty.of(space.target).links.add(link.index)

    def _read(self, dirty: Dirty, *, anew: bool = True) -> set[str]:
        """Read what is marked of each namespace; one that cannot be read is looked for `anew`: it may be gone, or have
        another way in."""
        changed: set[str] = set()
        failed = Dirty()
        for nsid, marks in dirty.spaces.items():
            key = self._key_of(nsid)
            space = self._spaces.get(key) if key is not None else None
            if space is None:
                continue
            try:
                changed |= space.read(self._home, marks, self._resolve)
                self._note(space, "")
            except OSError as error:
                if space.netns.home:
                    raise
                # Its links may have been read half, and its tables not at all.
                changed |= {link.key for link in space.links.values()}
                failed.spaces[nsid] = Marks(all_links=True, parts=marks.parts)
                if not anew:
                    self._note(space, clean(error.strerror or str(error)))
        if failed and anew:
            changed |= self._search(failed, thorough=True)
            changed |= self._read(failed, anew=False)
        return changed

    def _may_read(self, space: Space) -> bool:
        return self.privileged or space.netns.home

    def _note(self, space: Space, problem: str) -> None:
        if space.netns.problem != problem:
            _log.warning("network namespace %s: %s", space.netns.name, problem or "can be read again")
            space.netns = replace(space.netns, problem=problem)

    def _key_of(self, nsid: int | None) -> str | None:
        if nsid is None:
            return next((key for key, space in self._spaces.items() if space.netns.home), None)
        return self._by_nsid.get(nsid)

    def _resolve(self, nsid: int) -> str | None:
        """The key of the namespace with that number; one that is not known is looked for afterwards."""
        key = self._by_nsid.get(nsid)
        if key is None:
            self._unknown.add(nsid)
        elif not self.privileged and not self._spaces[key].netns.home:
            return None
        return key

    def _beyond(self, changed: set[str]) -> Dirty:
        """What has to be read besides what changed: peers that do not name each other, links that lay on what is gone,
        routes by links that went down, namespaces that were met and are not known."""
        dirty = Dirty()
        dirty.fresh = self._unknown - self._hopeless
        self._unknown.clear()
        for space in self._spaces.values():
            if space.routes_doubtful:
                dirty.of(space.target).parts |= Part.ROUTES
                space.routes_doubtful = False
        gone = {key for key in changed if self.find(key) is None}
        for key in changed - gone:
            link = self.find(key)
            if link is None or link.peer is None:
                continue
            other = self.find(link.peer)
            if other is None or other.peer != key:
                self._mark_link(dirty, key)
                self._mark_link(dirty, link.peer)
        if gone:
            for space in self._spaces.values():
                for link in space.links.values():
                    if link.peer in gone or link.parent in gone:
                        dirty.of(space.target).links.add(link.index)
        return dirty

    def find(self, key: str) -> Link | None:
        """Return the link with that key; None when there is none now."""
        netns, _, index = key.rpartition(":")
        space = self._spaces.get(netns)
        return space.links.get(int(index)) if space is not None else None

    def _mark_link(self, dirty: Dirty, key: str) -> None:
        netns, _, index = key.rpartition(":")
        if (space := self._spaces.get(netns)) is not None:
            dirty.of(space.target).links.add(int(index))

    def mark(self, dirty: Dirty, parts: Part, *, links: bool = False) -> None:
        """Mark parts of all namespaces, and all links if wanted."""
        for space in self._spaces.values():
            if self._may_read(space):
                marks = dirty.of(space.target)
                marks.parts |= parts
                marks.all_links |= links

    def usage(self) -> dict[str, LinkUsage]:
        """Return the counters of all links now, and their rates since the call before."""
        now_ns = time.monotonic_ns()
        fresh: dict[str, Counters] = {}
        for space in self._spaces.values():
            if space.netns.problem:
                continue
            try:
                found = space.counters(self._home)
            except OSError as error:
                # Else it is going, and the events tell.
                if isinstance(error, NetlinkError) and error.unsupported:
                    self._lacks.add("counters of links")
                continue
            fresh |= {link.key: found[link.index] for link in space.shown() if link.index in found}
        elapsed_ns = now_ns - self._counted_ns
        usage = {key: usage_of(now, self._counters.get(key), elapsed_ns) for key, now in fresh.items()}
        self._counters, self._counted_ns = fresh, now_ns
        return usage

    def forget_counters(self) -> None:
        """Begin anew with the rates."""
        self._counters = {}

    def taps_changed(self) -> bool:
        """Whether taps came, went or changed since the call before, so that others may hold them now."""
        taps = [link for space in self._spaces.values() for link in space.links.values() if link.kind in TAP_KINDS]
        changed = len(taps) != len(self._taps) or any(new is not old for new, old in zip(taps, self._taps, strict=True))
        self._taps = taps
        return changed

    def read_owners(self) -> None:
        """Read who holds the taps."""
        home = next((key for key, space in self._spaces.items() if space.netns.home), "")
        found = read_tap_owners(self._taps, home)
        self._owners = found if found != self._owners else self._owners

    def detail(self, link: Link) -> LinkDetail:
        """Return what is read of one link alone."""
        return self._spaces[link.netns].detail(link)

    def links(self) -> Links:
        """Return what is known now: the object of the call before when nothing changed, else its parts as far as they
        did not."""
        old = self._links
        spaces = sorted(self._spaces.values(), key=lambda space: (not space.netns.home, space.netns.name, space.key))
        fresh = _assemble(spaces, self._owners, self._limits())
        self._links = fresh if old is None else _joined(old, fresh)
        return self._links

    def _limits(self) -> tuple[str, ...]:
        forbidden = () if self.privileged else ("other namespaces", "owners of taps")
        lacks = self._lacks | {what for space in self._spaces.values() for what in space.lacks}
        return (
            *(f"{what}: {_why_not()}" for what in forbidden),
            *(f"{what}: this kernel does not tell" for what in sorted(lacks)),
        )


def _why_not() -> str:
    return "not root" if os.geteuid() else "no CAP_SYS_ADMIN here"


def _assemble(spaces: Sequence[Space], owners: Mapping[str, tuple[TapOwner, ...]], limits: tuple[str, ...]) -> Links:
    shown = {space.key: space.shown() for space in spaces}
    return Links(
        namespaces={space.key: space.netns for space in spaces},
        links={link.key: link for space in spaces for link in shown[space.key]},
        read_ns=time.time_ns(),
        addresses=_by_link(shown, {space.key: space.addresses for space in spaces}),
        routes={space.key: space.routes for space in spaces if space.routes},
        rules={space.key: space.rules for space in spaces if space.rules},
        neighbours=_by_link(shown, {space.key: space.neighbours for space in spaces}),
        fdb=_by_link(shown, {space.key: space.fdb for space in spaces}),
        owners=owners,
        limits=limits,
    )


def _by_link(shown: Mapping[str, Sequence[Link]], tables: Mapping[str, Mapping[int, T]]) -> dict[str, T]:
    """What is by ifindex in each namespace, by the key of the link."""
    return {
        link.key: tables[netns][link.index]
        for netns, links in shown.items()
        if tables[netns]
        for link in links
        if link.index in tables[netns]
    }


def _joined(old: Links, fresh: Links) -> Links:
    """The fresh picture with the mappings of the old one that hold the same objects; the old one when all do."""
    parts: dict[str, Any] = {
        name: _same_map(getattr(old, name), getattr(fresh, name))
        for name in ("namespaces", "links", "addresses", "routes", "rules", "neighbours", "fdb", "owners")
    }
    if fresh.limits == old.limits and all(part is getattr(old, name) for name, part in parts.items()):
        return old
    return replace(fresh, **parts)


def _same_map(old: Mapping[str, T], new: Mapping[str, T]) -> Mapping[str, T]:
    same = len(old) == len(new) and all(
        was is now and name == key for (name, was), (key, now) in zip(old.items(), new.items(), strict=True)
    )
    return old if same else new
