"""Rows of the interfaces pane: namespaces, their links below them, ports below their bridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.model.text import natural
from tui.widgets.sparkline import sparkline

if TYPE_CHECKING:
    from tui.model.link import Link, LinkAddress, Links, LinkUsage, Netns
    from tui.model.link_users import LinkUser
    from tui.model.snapshot import HostSnapshot
    from tui.panes.spec import View

SPARK_WIDTH = 8
_RANKS = {"bridge": 0, "bond": 1, "openvswitch": 1, "vrf": 1, "loopback": 3}
_MOVING = frozenset({"usage", "spark", "errors", "drops"})
_KINDS = {"home": 0, "named": 1, "container": 2, "process": 3}


@dataclass(frozen=True, slots=True, eq=False)
class LinkRow:
    """A link, or the namespace above its links; the same object while nothing changed."""

    key: str
    netns: Netns
    link: Link | None
    """None for the namespace itself."""
    depth: int
    order: tuple[object, ...]
    addresses: tuple[LinkAddress, ...] = ()
    usage: LinkUsage | None = None
    user: LinkUser | None = None
    around: tuple[Link | None, Link | None, Link | None] = (None, None, None)
    """Its master, its peer and its parent."""
    places: tuple[str, ...] = ()
    """The names of the namespaces of its peer and its parent, "" where that is its own."""
    links: int = 0
    """How many links the namespace has."""
    spark: str = ""
    errors: int | None = None
    """How many there are more, both ways, than when one began to look; None: not known."""
    drops: int | None = None

    @property
    def name(self) -> str:
        """The name, cleaned."""
        return self.link.name if self.link is not None else self.netns.name


class LinkRows:
    """Makes the rows of a view; a row whose parts did not change is not made again."""

    def __init__(self) -> None:
        self._links: Links | None = None
        self._users: Mapping[str, LinkUser] = {}
        self._used_by: tuple[object, ...] = ()
        """What the users were made of."""
        self._usage: object = None
        self._rows: dict[str, LinkRow] = {}
        self._ordered: list[LinkRow] = []

    def __call__(self, view: View) -> Sequence[LinkRow]:
        """Return the namespaces, our own first, each followed by its links as a tree."""
        seen = view.snapshot
        users = self._known_users(seen)
        same = seen.links is self._links and users is self._users
        if not same:
            self._links, self._users = seen.links, users
            self._arrange()
        if same and seen.link_usage is self._usage:
            return self._ordered
        self._usage = seen.link_usage
        self._ordered = [self._moving(view, row) for row in self._ordered]
        self._rows = {row.key: row for row in self._ordered}
        return self._ordered

    def _known_users(self, seen: HostSnapshot) -> Mapping[str, LinkUser]:
        """Who uses the links; the mapping of before when it is equal: processes are other objects with every look."""
        if seen.links is None:
            return self._users
        parts = (seen.links, seen.domains, seen.processes, seen.networks)
        if len(self._used_by) == len(parts) and all(a is b for a, b in zip(parts, self._used_by, strict=True)):
            return self._users
        # Imported with the first links, which is after the first picture.
        from tui.model.link_users import users_of

        self._used_by = parts
        users = users_of(seen.links, seen.domains, seen.processes, seen.networks)
        return self._users if users == self._users else users

    def _arrange(self) -> None:
        if self._links is None:
            self._ordered = []
            return
        made = sorted(_rows(self._links, self._users), key=lambda row: row.order)
        self._ordered = [self._kept(row) for row in made]

    def _kept(self, new: LinkRow) -> LinkRow:
        old = self._rows.get(new.key)
        same = old is not None and all(
            getattr(old, name) == getattr(new, name) for name in LinkRow.__slots__ if name not in _MOVING
        )
        return old if same and old is not None else new

    @staticmethod
    def _moving(view: View, row: LinkRow) -> LinkRow:
        """The row with its newest figures."""
        if row.link is None:
            return row
        usage = view.snapshot.link_usage.get(row.key)
        if usage is row.usage:
            return row
        history, first = view.link_history(row.key, SPARK_WIDTH), view.first_of_link(row.key)
        return replace(
            row,
            usage=usage,
            spark=sparkline(history, SPARK_WIDTH) if history else "",
            errors=_more(first, usage, "errors"),
            drops=_more(first, usage, "dropped"),
        )


def _more(first: LinkUsage | None, now: LinkUsage | None, what: str) -> int | None:
    """What was counted since; a counter that began anew counts from 0."""
    if first is None or now is None:
        return None
    pairs: list[tuple[int, int]] = [(getattr(first, f"{w}_{what}"), getattr(now, f"{w}_{what}")) for w in ("rx", "tx")]
    return sum(after - before if after >= before else after for before, after in pairs)


def _rows(links: Links, users: Mapping[str, LinkUser]) -> Iterator[LinkRow]:
    of_netns: dict[str, list[Link]] = {key: [] for key in links.namespaces}
    for link in links.links.values():
        of_netns.setdefault(link.netns, []).append(link)
    for key, netns in links.namespaces.items():
        place = (_KINDS[netns.kind.value], natural(netns.name), key)
        yield LinkRow(f"netns:{key}", netns, None, 0, (place, ()), links=len(of_netns[key]))
        for link, path in _tree(of_netns[key]):
            yield _row(links, netns, link, (place, path), users)


def _tree(links: Sequence[Link]) -> Iterator[tuple[Link, tuple[object, ...]]]:
    """Give each link of a namespace with its place in the tree: below its master, else below what it lies on."""
    here = {link.key: link for link in links}
    below: dict[str | None, list[Link]] = {}
    for link in links:
        above = next((key for key in (link.master, link.parent) if key in here and key != link.key), None)
        below.setdefault(above, []).append(link)
    given: set[str] = set()

    def walk(above: str | None, path: tuple[object, ...]) -> Iterator[tuple[Link, tuple[object, ...]]]:
        for link in below.get(above, ()):
            if link.key in given:
                continue
            given.add(link.key)
            own = (*path, (_RANKS.get(link.kind, 2), natural(link.name), link.index))
            yield link, own
            yield from walk(link.key, own)

    yield from walk(None, ())
    # What lies on each other in a circle (the kernel allows none, a torn reading might) is told all the same.
    for link in links:
        if link.key not in given:
            yield link, ((_RANKS.get(link.kind, 2), natural(link.name), link.index),)


def _row(links: Links, netns: Netns, link: Link, order: tuple[object, ...], users: Mapping[str, LinkUser]) -> LinkRow:
    around = tuple(links.links.get(key) if key is not None else None for key in (link.master, link.peer, link.parent))
    path = order[1]
    return LinkRow(
        link.key,
        netns,
        link,
        len(path) - 1 if isinstance(path, tuple) else 0,
        order,
        links.addresses.get(link.key, ()),
        user=users.get(link.key),
        around=(around[0], around[1], around[2]),
        places=tuple(_place(links, link, other) for other in around[1:]),
    )


def _place(links: Links, link: Link, other: Link | None) -> str:
    if other is None or other.netns == link.netns:
        return ""
    netns = links.namespaces.get(other.netns)
    return netns.name if netns is not None else "?"
