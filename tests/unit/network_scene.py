"""A network in words, and the snapshot and the kernel's answers that it would give."""

from __future__ import annotations

import errno
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from tui.model.dnsmasq import DhcpRange, Dnsmasq
from tui.model.domain import Address, Domain, DomainState
from tui.model.domain_config import DomainConfig, Nic
from tui.model.domain_xml import parse_domain_xml
from tui.model.finding import Trace
from tui.model.firewall import Firewall, FirewallChain
from tui.model.host import Connection, ConnectionState
from tui.model.link import (
    BridgeFacts,
    FdbEntry,
    Link,
    LinkAddress,
    LinkNeighbour,
    Links,
    Netns,
    NetnsKind,
    NetSettings,
    NextHop,
    PortFacts,
    PortState,
    PortVlan,
    Route,
    Rule,
    TapFacts,
    TapOwner,
)
from tui.model.ovs import Ovs
from tui.model.process import QemuNic, QemuProcess
from tui.model.route import (
    Answer,
    CountAnswer,
    CountQuestion,
    FlowAnswer,
    FlowQuestion,
    ProbeAnswer,
    ProbeKind,
    ProbeQuestion,
    Question,
    RouteAnswer,
    RouteQuestion,
)
from tui.model.snapshot import HostSnapshot
from tui.topology.trace import trace
from tui.topology.trace_scene import Ground, Query

HOME = "host"


class Net:
    """Links by "NAME@NETNS", "NAME" for those at home; the key of a namespace is its name."""

    def __init__(self) -> None:
        self.namespaces: dict[str, Netns] = {}
        self.links: dict[str, Link] = {}
        self.addresses: dict[str, list[LinkAddress]] = {}
        self.neighbours: dict[str, list[LinkNeighbour]] = {}
        self.fdb: dict[str, list[FdbEntry]] = {}
        self.owners: dict[str, tuple[TapOwner, ...]] = {}
        self.routes: dict[str, list[tuple[str, str, str]]] = {}
        self.domains: dict[str, Domain] = {}
        self.processes: dict[str, QemuProcess] = {}
        self.leases: dict[str, tuple[Address, ...]] = {}
        self.firewalls: dict[str, Firewall] = {}
        self.dnsmasqs: list[Dnsmasq] = []
        self.ovs: Ovs | None = None
        self.refused: dict[tuple[str, str], int] = {}
        """errno by namespace and destination, for packets that come in by a link."""
        self.flows: dict[str, str] = {}
        """What Open vSwitch does with what comes in by a port."""
        self.rules: dict[str, tuple[Rule, ...]] = {}
        self.wire: dict[tuple[ProbeKind, str], str] | None = None
        """Who answers ARP and pings for an address; others are silent. None: nothing is probed."""
        self.probed: list[ProbeQuestion] = []
        self.netns(HOME, kind=NetnsKind.HOME)

    # What there is

    def netns(self, name: str, *, kind: NetnsKind = NetnsKind.NAMED, **settings: Any) -> None:
        """A namespace that forwards, unless the settings say otherwise, with an empty firewall."""
        paths = () if kind is NetnsKind.HOME else (f"/run/netns/{name}",)
        found = NetSettings(**{"ipv4_forwarding": True, "rp_filter": 0, "bridge_nf_iptables": False, **settings})
        self.namespaces[name] = Netns(name, name, name, kind, paths, settings=found)
        self.firewalls[name] = Firewall(name, (), 1)

    def link(self, words: str, kind: str, **facts: Any) -> str:
        """A link that is up with a carrier; its key."""
        name, _, netns = words.partition("@")
        netns = netns or HOME
        index = len(self.links) + 1
        key = f"{netns}:{index}"
        mac = f"02:00:00:00:00:{index:02x}"
        if kind == "bridge":
            facts.setdefault("bridge", BridgeFacts(stp=False, vlan_filtering=False))
        shown = {"mtu": 1500, "up": True, "carrier": True, "operstate": "up", "mac": mac, **facts}
        self.links[key] = Link(key, netns, index, name, name, kind, **shown)
        return key

    def key(self, words: str) -> str:
        """The key of a link that was named so."""
        name, _, netns = words.partition("@")
        return next(link.key for link in self.links.values() if (link.name, link.netns) == (name, netns or HOME))

    def change(self, words: str, **facts: Any) -> None:
        """Make a link otherwise."""
        key = self.key(words)
        self.links[key] = replace(self.links[key], **facts)

    def veth(self, one: str, other: str) -> None:
        """A pair of links."""
        a, b = self.link(one, "veth"), self.link(other, "veth")
        self.links[a] = replace(self.links[a], peer=b)
        self.links[b] = replace(self.links[b], peer=a)

    def plug(self, words: str, bridge: str | None, state: PortState = PortState.FORWARDING, **facts: Any) -> None:
        """Make a link the port of a bridge, or of none."""
        if bridge is None:
            self.change(words, master=None, master_kind="", port=None)
            return
        vlans = facts.pop("vlans", ())
        master = self.key(bridge)
        self.change(words, master=master, master_kind="bridge", port=PortFacts(state, **facts), vlans=vlans)

    def address(self, words: str, *addresses: str) -> None:
        """Give a link addresses, as in 10.0.0.1/24, and their routes; none: take them away."""
        key, netns = self.key(words), words.partition("@")[2] or HOME
        found = [ip_interface(text) for text in addresses]
        self.addresses[key] = [LinkAddress(str(i.ip), i.network.prefixlen, scope="global") for i in found]
        routes = [route for route in self.routes.get(netns, []) if route[2] != key or route[1]]
        self.routes[netns] = routes + [(str(i.network), "", key) for i in found]

    def route(self, netns: str, destination: str, via: str, link: str) -> None:
        """A route by a gateway."""
        self.routes.setdefault(netns, []).append((destination, via, self.key(link)))

    def resolved(self, link: str, address: str, mac: str, state: str = "reachable") -> None:
        """An entry of a link's neighbour table."""
        self.neighbours.setdefault(self.key(link), []).append(LinkNeighbour(address, mac, state))

    def learned(self, port: str, mac: str) -> None:
        """An entry of the table of the bridge that a link is a port of."""
        self.fdb.setdefault(self.key(port), []).append(FdbEntry(mac))

    def domain(self, name: str, tap: str, mac: str, *addresses: str, **nic: Any) -> None:
        """A running domain with one NIC, whose tap is there already or not."""
        facts = {"kind": "bridge", "source": "", "model": "virtio", "target": tap, "link_up": True, **nic}
        found = Nic(mac=mac, virtualport="", vlan="", **facts)
        config = replace(parse_domain_xml(f"<domain type='kvm'><name>{name}</name></domain>"), nics=(found,))
        assert isinstance(config, DomainConfig)
        self.domains[name] = Domain(name, name, name, len(self.domains) + 1, DomainState.RUNNING, "", config=config)
        self.leases[name] = tuple(Address(address, 24, mac, "lease") for address in addresses)

    def process(self, pid: int, name: str, *nics: QemuNic, state: str = "sleeping", uuid: str | None = None) -> None:
        """A QEMU; with a UUID it is that of a domain."""
        key = f"{pid}:1"
        libvirt_name = name if uuid else None
        self.processes[key] = QemuProcess(
            key=key, pid=pid, name=name, uuid=uuid, executable="qemu", architecture="x86_64", machine=None,
            accelerator="kvm", user="root", libvirt_name=libvirt_name, started_ns=1, vcpus=1, vcpus_max=1,
            memory_kib=1, rss_kib=None, cpu_time_ns=0, state=state, threads=(), drives=(), nics=nics, qmp_sockets=(),
            args=(), read_ns=1,
        )  # fmt: skip

    def dhcp(self, netns: str, link: str, first: str, last: str) -> None:
        """A DHCP server on a link."""
        self.dnsmasqs.append(Dnsmasq("1:1", 1, netns, (link,), (DhcpRange(first, last),), ()))

    def filter(self, netns: str, *chains: FirewallChain) -> None:
        """The rules of a namespace."""
        self.firewalls[netns] = Firewall(netns, chains, 1)

    # What comes of it

    def snapshot(self) -> HostSnapshot:
        """All of it as it would be read."""
        links = Links(
            self.namespaces,
            self.links,
            1,
            addresses={key: tuple(found) for key, found in self.addresses.items()},
            neighbours={key: tuple(found) for key, found in self.neighbours.items()},
            fdb={key: tuple(found) for key, found in self.fdb.items()},
            owners=self.owners,
            routes={netns: tuple(self._model_routes(netns)) for netns in self.routes},
            rules=self.rules,
        )
        return HostSnapshot(
            1, 1, Connection("test:///", ConnectionState.LIVE, 1, False), domains=self.domains, domains_read_ns=1,
            addresses=self.leases, processes=self.processes, processes_read_ns=10**12, links=links,
            firewalls=self.firewalls, ovs=self.ovs, dnsmasqs=tuple(self.dnsmasqs), unread=frozenset(),
        )  # fmt: skip

    def _model_routes(self, netns: str) -> list[Route]:
        return [Route(netns, to, (NextHop(key, via),), 254) for to, via, key in self.routes[netns]]

    def answer(self, question: Question) -> Answer:
        """What the kernel or Open vSwitch would answer, as far as these tests need it."""
        if isinstance(question, FlowQuestion):
            return FlowAnswer(self.flows.get(question.port, "1,2"))
        if isinstance(question, ProbeQuestion):
            assert self.wire is not None, "nothing is probed here"
            self.probed.append(question)
            who = self.wire.get((question.kind, question.address))
            return ProbeAnswer((who,) if who else (), 0.5)
        if isinstance(question, CountQuestion):
            return CountAnswer(1, 1)
        return self._route(question)

    def _route(self, question: RouteQuestion) -> RouteAnswer:
        own = [a.address for key, found in self.addresses.items() for a in found if self._is_in(key, question.netns)]
        if question.destination in own:
            return RouteAnswer("local", "", source=question.destination)
        settings = self.namespaces[question.netns].settings
        if question.iif and (code := self.refused.get((question.netns, question.destination))):
            return RouteAnswer(code=code)
        if question.iif and settings.ipv4_forwarding is False:
            return RouteAnswer(code=errno.EHOSTUNREACH)
        wanted = ip_address(question.destination)
        routes = [(ip_network("0.0.0.0/0" if to == "default" else to), via, key) for to, via, key
                  in self.routes.get(question.netns, []) if self.links[key].up]  # fmt: skip
        fitting = [route for route in routes if wanted in route[0]]
        if not fitting:
            return RouteAnswer(code=errno.ENETUNREACH)
        _, via, key = max(fitting, key=lambda route: route[0].prefixlen)
        return RouteAnswer("unicast", key, via)

    def _is_in(self, link: str, netns: str) -> bool:
        return self.links[link].netns == netns

    def trace(self, guest: str, to: str = "", *, link: str = "") -> Trace:
        """The trace with all answers."""
        answers: dict[Question, Answer] = {}
        ground = Ground(self.snapshot())
        query = Query(guest, link=self.key(link) if link else "", to=to, probe=self.wire is not None)
        for _ in range(30):
            made = trace(ground, query, answers)
            if not made.questions:
                return made.trace
            answers |= {question: self.answer(question) for question in made.questions}
        raise AssertionError(f"it never ends asking: {made.questions}")


def named(found: Trace) -> tuple[str, str] | None:
    """The name of the hop and the word of the cause."""
    if found.cause is None:
        return None
    hop = found.hops[found.cause[0]]
    return hop.name, hop.facts[found.cause[1]].cause


def all_bad(found: Trace) -> set[tuple[str, str]]:
    """Hop and cause of all that is broken or warned of."""
    return {(hop.name, fact.cause) for hop in found.hops for fact in hop.facts if fact.cause}


def routed() -> Net:
    """Guests on br-in, a router namespace r1, br-ex with an uplink to the namespace outside: tests/lab/routed.py."""
    net = Net()
    for name in ("r1", "outside"):
        net.netns(name)
    for name in ("br-in", "br-ex"):
        net.link(name, "bridge")
    for one, other, bridge in (
        ("p-in", "r1-in@r1", "br-in"),
        ("p-ex", "r1-ex@r1", "br-ex"),
        ("up0", "wan0@outside", "br-ex"),
    ):
        net.veth(one, other)
        net.plug(one, bridge)
    for number in (1, 2):
        net.link(f"vnet{number}", "tun", tap=TapFacts("tap", persistent=False))
        net.plug(f"vnet{number}", "br-in")
        net.owners[net.key(f"vnet{number}")] = (TapOwner(100 + number, "qemu"),)
        net.domain(f"vm{number}", f"vnet{number}", f"52:54:00:00:00:0{number}", f"10.0.0.5{number}", source="br-in")
        net.process(100 + number, f"vm{number}", uuid=f"vm{number}")
    net.address("r1-in@r1", "10.0.0.1/24")
    net.address("r1-ex@r1", "198.51.100.2/24")
    net.address("wan0@outside", "198.51.100.1/24", "203.0.113.9/32")
    net.route("r1", "default", "198.51.100.1", "r1-ex@r1")
    net.dhcp("r1", "r1-in", "10.0.0.50", "10.0.0.99")
    return net


VLAN_10 = (PortVlan(10, 10, pvid=True, untagged=True),)
VLAN_1 = (PortVlan(1, 1, pvid=True, untagged=True),)
