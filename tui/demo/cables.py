"""What links of the demo host are made with: a table that grows, and the small facts that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tui.demo.nodes import mac_of
from tui.model.link import (
    BridgeFacts,
    FdbEntry,
    Link,
    LinkAddress,
    LinkNeighbour,
    Links,
    NetnsKind,
    NetSettings,
    NextHop,
    PortFacts,
    PortState,
    Route,
    TapOwner,
    link_key,
)
from tui.model.link import Netns as Space
from tui.model.text import clean

FORWARDING = PortFacts(PortState.FORWARDING, cost=2, priority=32)
BLOCKING = PortFacts(PortState.BLOCKING, cost=100, priority=32)
QUIET_BRIDGE = BridgeFacts(stp=False, forward_delay_s=0, ageing_s=300, vlan_filtering=False, multicast_snooping=True)
STP_BRIDGE = replace(QUIET_BRIDGE, stp=True, forward_delay_s=15, priority=32768)


class Cables:
    """Namespaces, links and what hangs on them, as they are added."""

    def __init__(self) -> None:
        self.namespaces: dict[str, Space] = {}
        self.links: dict[str, Link] = {}
        self.addresses: dict[str, tuple[LinkAddress, ...]] = {}
        self.routes: dict[str, tuple[Route, ...]] = {}
        self.neighbours: dict[str, tuple[LinkNeighbour, ...]] = {}
        self.fdb: dict[str, tuple[FdbEntry, ...]] = {}
        self.owners: dict[str, tuple[TapOwner, ...]] = {}

    def space(
        self, key: str, raw_name: str, kind: NetnsKind, *, forwarding: bool = False, pid: int | None = None
    ) -> str:
        """Add a namespace with its lo and return its key."""
        self.namespaces[key] = Space(
            key=key,
            name=clean(raw_name),
            raw_name=raw_name,
            kind=kind,
            paths=(f"/run/netns/{raw_name}",) if kind is NetnsKind.NAMED else (),
            pid=pid,
            nsid=None if kind is NetnsKind.HOME else len(self.namespaces) - 1,
            settings=NetSettings(forwarding, False, 0, False, False, False),
        )
        lo = self.link(key, "lo", "loopback", mac="00:00:00:00:00:00", mtu=65536, operstate="unknown")
        self.address(lo, "127.0.0.1/8")
        return key

    def link(self, netns: str, raw_name: str, kind: str, *, index: int = 1, **facts: Any) -> str:
        """Add a link, up and with a carrier unless `facts` say otherwise, and return its key; its index is the first
        that is free from `index` on."""
        while link_key(netns, index) in self.links:
            index += 1
        key = link_key(netns, index)
        known: dict[str, Any] = {
            "mac": mac_of(f"{netns}/{raw_name}", 0), "mtu": 1500, "up": True, "carrier": True,
        }  # fmt: skip
        known.update(facts)
        known.setdefault("operstate", "up" if known["up"] and known["carrier"] else "down")
        if (master := known.get("master")) is not None:
            known.setdefault("master_kind", self.links[master].kind)
            if self.links[master].kind == "bridge":
                known.setdefault("port", FORWARDING)
        self.links[key] = Link(
            key=key, netns=netns, index=index, name=clean(raw_name), raw_name=raw_name, kind=kind, **known
        )
        return key

    def pair(self, one: tuple[str, str], other: tuple[str, str], **facts: Any) -> tuple[str, str]:
        """Add a veth pair between two (namespace, name); `facts` are of the first end."""
        first = self.link(*one, "veth", **facts)
        second = self.link(*other, "veth", peer=first)
        self.links[first] = replace(self.links[first], peer=second)
        return first, second

    def address(self, key: str, text: str) -> None:
        """Give a link an address such as 10.0.0.1/24."""
        address, _, prefix = text.partition("/")
        scope = "host" if address.startswith("127.") else "link" if address.startswith("fe80") else "global"
        found = LinkAddress(address, int(prefix), scope=scope, flags=("permanent",))
        self.addresses[key] = (*self.addresses.get(key, ()), found)

    def route(self, netns: str, destination: str, link: str, gateway: str = "", protocol: str = "static") -> None:
        """Add a route out by a link."""
        found = Route(netns, destination, (NextHop(link, gateway),), 254, protocol=protocol, scope="global")
        self.routes[netns] = (*self.routes.get(netns, ()), found)

    def know(self, key: str, neighbours: Sequence[tuple[str, str]], state: str = "reachable") -> None:
        """Add neighbours, (address, MAC), to a link's table."""
        found = tuple(LinkNeighbour(address, mac, state) for address, mac in neighbours)
        self.neighbours[key] = (*self.neighbours.get(key, ()), *found)

    def settled(self, read_ns: int) -> Links:
        """Return all of it."""
        return Links(
            namespaces=self.namespaces,
            links=self.links,
            read_ns=read_ns,
            addresses=self.addresses,
            routes=self.routes,
            neighbours=self.neighbours,
            fdb=self.fdb,
            owners=self.owners,
        )
