"""A host's network written down in a few words, as a snapshot: for tests and benchmarks of what is drawn from it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from tui.model.dnsmasq import DhcpRange, Dnsmasq, Lease
from tui.model.domain import Domain, DomainState
from tui.model.domain_config import Nic
from tui.model.domain_xml import parse_domain_xml
from tui.model.firewall import Firewall, FirewallChain, FirewallRule
from tui.model.host import Connection, ConnectionState
from tui.model.link import (
    BridgeFacts,
    Link,
    LinkAddress,
    Links,
    LinkUsage,
    Netns,
    NetnsKind,
    NetSettings,
    NextHop,
    PortFacts,
    PortState,
    Route,
    TapFacts,
    TapOwner,
    link_key,
)
from tui.model.network import Network, NetworkConfig, Networks
from tui.model.ovs import Ovs
from tui.model.process import QemuNic, QemuProcess
from tui.model.snapshot import HostSnapshot
from tui.model.text import clean

HOME = "1"
_EMPTY_DOMAIN = "<domain type='kvm'><name>x</name><os><type>hvm</type></os></domain>"


class NetHost:
    """Collects links, namespaces and guests; `snapshot()` gives what a collector would publish."""

    def __init__(self) -> None:
        self.namespaces: dict[str, Netns] = {HOME: Netns(HOME, "host", "host", NetnsKind.HOME)}
        self.links: dict[str, Link] = {}
        self.addresses: dict[str, tuple[LinkAddress, ...]] = {}
        self.routes: dict[str, tuple[Route, ...]] = {}
        self.owners: dict[str, tuple[TapOwner, ...]] = {}
        self.domains: dict[str, Domain] = {}
        self.processes: dict[str, QemuProcess] = {}
        self.networks: dict[str, Network] = {}
        self.firewalls: dict[str, Firewall] = {}
        self.dnsmasqs: list[Dnsmasq] = []
        self.usage: dict[str, LinkUsage] = {}
        self.ovs: Ovs | None = None
        self.limits: tuple[str, ...] = ()

    def netns(self, name: str, *, forwarding: bool = False, kind: NetnsKind = NetnsKind.NAMED) -> str:
        """Add a namespace and return its key."""
        key = str(4026532000 + len(self.namespaces))
        settings = NetSettings(ipv4_forwarding=forwarding)
        self.namespaces[key] = Netns(key, clean(name), name, kind, settings=settings)
        return key

    def forward(self, netns: str = HOME) -> None:
        """Have a namespace pass packets on."""
        old = self.namespaces[netns]
        self.namespaces[netns] = replace(old, settings=NetSettings(ipv4_forwarding=True))

    def link(self, name: str, kind: str = "ethernet", *, netns: str = HOME, master: str = "", **facts: Any) -> str:
        """Add a link, up and with a carrier unless said otherwise, and return its key."""
        index = 1 + sum(link.netns == netns for link in self.links.values())
        key = link_key(netns, index)
        if master:
            facts = {"port": PortFacts(PortState.FORWARDING), **facts} if self.links[master].bridge else facts
            facts |= {"master": master, "master_kind": self.links[master].kind}
        mac = f"52:54:00:00:{len(self.links) // 256:02x}:{len(self.links) % 256:02x}"
        base = Link(key, netns, index, clean(name), name, kind, mac, 1500, True, True, "up")
        self.links[key] = replace(base, **facts)
        return key

    def change(self, key: str, **facts: Any) -> None:
        """Change facts of a link."""
        self.links[key] = replace(self.links[key], **facts)

    def bridge(self, name: str, *, netns: str = HOME, **facts: Any) -> str:
        """Add a bridge."""
        return self.link(name, "bridge", netns=netns, bridge=BridgeFacts(stp=False, vlan_filtering=False), **facts)

    def tap(self, name: str, *, master: str = "", netns: str = HOME, pid: int = 0, **facts: Any) -> str:
        """Add a tap, held by a process where one is given."""
        key = self.link(name, "tun", netns=netns, master=master, tap=TapFacts("tap", False), **facts)
        if pid:
            self.owners[key] = (TapOwner(pid, "qemu-system-x86"),)
        return key

    def veth(
        self, name: str, other: str, *, netns: str = HOME, to: str = HOME, master: str = "", other_master: str = ""
    ) -> tuple[str, str]:
        """Add a pair; the second end is in the namespace `to`."""
        one = self.link(name, "veth", netns=netns, master=master)
        two = self.link(other, "veth", netns=to, master=other_master, peer=one)
        self.change(one, peer=two)
        return one, two

    def address(self, key: str, text: str) -> None:
        """Give a link an address, as in 10.0.0.1/24."""
        address, _, prefix = text.partition("/")
        self.addresses[key] = (*self.addresses.get(key, ()), LinkAddress(address, int(prefix), scope="global"))

    def default_route(self, link: str, gateway: str) -> None:
        """Give the namespace of a link a default route."""
        netns = self.links[link].netns
        route = Route(netns, "default", (NextHop(link, gateway),), 254)
        self.routes[netns] = (*self.routes.get(netns, ()), route)

    def masquerade(self, netns: str, oif: str = "", source: str = "") -> None:
        """Have a namespace rewrite what leaves by a link."""
        rule = FirewallRule("masquerade", "masquerade", oif=oif, source=source, understood=True)
        chain = FirewallChain("ip", "nat", "postrouting", (rule,), "nat", "postrouting", 100, "accept")
        self.firewalls[netns] = Firewall(netns, (chain,), 1)

    def open_firewall(self, netns: str = HOME) -> None:
        """Say that a namespace has no rules."""
        self.firewalls[netns] = Firewall(netns, (), 1)

    def dhcp(self, netns: str, interfaces: tuple[str, ...], first: str, last: str, *leases: tuple[str, str]) -> None:
        """Add a dnsmasq with leases of (MAC, address)."""
        pid = 900 + len(self.dnsmasqs)
        given = tuple(Lease(address, mac, "", None) for mac, address in leases)
        self.dnsmasqs.append(Dnsmasq(f"{pid}:1", pid, netns, interfaces, (DhcpRange(first, last),), given))

    def domain(self, name: str, *nics: Nic, state: DomainState = DomainState.RUNNING) -> str:
        """Add a domain and return its UUID."""
        key = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name} {len(self.domains)}"))
        config = replace(parse_domain_xml(_EMPTY_DOMAIN), nics=nics)
        number = len(self.domains) + 1 if state.active else None
        self.domains[key] = Domain(key, clean(name), name, number, state, "", True, False, config=config)
        return key

    def guest(self, name: str, tap: str, *, master: str = "", mac: str = "", **facts: Any) -> str:
        """Add a running domain with a tap on a bridge; return the key of the tap."""
        mac = mac or f"52:54:00:aa:{len(self.domains) // 256:02x}:{len(self.domains) % 256:02x}"
        source = self.links[master].name if master else ""
        self.domain(name, nic(mac, tap, source))
        return self.tap(tap, master=master, **{"mac": "fe" + mac[2:], **facts})

    def qemu(self, name: str, pid: int, *nics: QemuNic) -> str:
        """Add a QEMU that libvirt does not know, and return its key."""
        key = f"{pid}:1"
        self.processes[key] = QemuProcess(
            key=key, pid=pid, name=clean(name), uuid=None, executable="/usr/bin/qemu-system-x86_64",
            architecture="x86_64", machine="q35", accelerator="tcg", user="root", libvirt_name=None, started_ns=0,
            vcpus=1, vcpus_max=1, memory_kib=98304, rss_kib=50000, cpu_time_ns=0, state="sleeping", threads=(),
            drives=(), nics=nics, qmp_sockets=(), args=(), read_ns=1,
        )  # fmt: skip
        return key

    def network(self, name: str, bridge: str, mode: str = "nat", *, active: bool = True) -> str:
        """Add a libvirt network and return its UUID."""
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        config = NetworkConfig(bridge=clean(bridge), raw_bridge=bridge, mode=mode, device="")
        self.networks[key] = Network(key, clean(name), name, active, True, True, config)
        return key

    def snapshot(self, **parts: Any) -> HostSnapshot:
        """Return what was collected as a snapshot."""
        links = Links(
            dict(self.namespaces), dict(self.links), 1, addresses=dict(self.addresses), routes=dict(self.routes),
            owners=dict(self.owners), limits=self.limits,
        )  # fmt: skip
        base = HostSnapshot(
            1, 1, Connection("test:///default", ConnectionState.LIVE, 1, False), domains=dict(self.domains),
            domains_read_ns=1, processes=dict(self.processes), processes_read_ns=1,
            networks=Networks(dict(self.networks), 1), links=links, link_usage=dict(self.usage),
            firewalls=dict(self.firewalls), ovs=self.ovs,
            dnsmasqs=tuple(self.dnsmasqs), unread=frozenset(),
        )  # fmt: skip
        return replace(base, **parts)


def nic(mac: str, target: str, source: str = "", kind: str = "bridge", **facts: Any) -> Nic:
    """Return a NIC of a domain."""
    base = Nic(mac=mac, kind=kind, source=source, model="virtio", target=target, link_up=True, virtualport="", vlan="")
    return replace(base, **facts)


def homework() -> NetHost:
    """Two guests behind a router namespace with NAT and DHCP: br-in, r1, br-ex, and the outside."""
    host = NetHost()
    r1, outside = host.netns("r1", forwarding=True), host.netns("outside")
    br_in, br_ex = host.bridge("br-in"), host.bridge("br-ex")
    host.guest("vm1", "tap1", master=br_in)
    host.guest("vm2", "tap2", master=br_in)
    _b_in, r1_in = host.veth("b-in", "r1-in", to=r1, master=br_in)
    _b_ex, r1_ex = host.veth("b-ex", "r1-ex", to=r1, master=br_ex)
    _up, wan = host.veth("up0", "wan0", to=outside, master=br_ex)
    host.address(r1_in, "10.0.0.1/24")
    host.address(r1_ex, "203.0.113.2/24")
    host.address(wan, "203.0.113.1/24")
    host.default_route(r1_ex, "203.0.113.1")
    host.masquerade(r1, "r1-ex")
    given = [("52:54:00:aa:00:00", "10.0.0.11"), ("52:54:00:aa:00:01", "10.0.0.12")]
    host.dhcp(r1, ("r1-in",), "10.0.0.10", "10.0.0.50", *given)
    return host


def crowd(pairs: int = 1000, namespaces: int = 100, bridges: int = 20) -> NetHost:
    """Many pairs between the bridges of a host and its namespaces, as on a host of containers."""
    host = NetHost()
    buses = [host.bridge(f"br{number}") for number in range(bridges)]
    spaces = [host.netns(f"space-{number}") for number in range(namespaces)]
    for number in range(pairs):
        bus, space = buses[number % bridges], spaces[number % namespaces]
        _port, end = host.veth(f"v{number}", f"eth{number // namespaces}", to=space, master=bus)
        host.address(end, f"10.{number % bridges}.{number // 250}.{number % 250 + 2}/16")
    return host
