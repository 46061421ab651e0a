"""Hosts whose drawings are kept, and hosts at random, hostile ones among them."""

from __future__ import annotations

import random
from typing import Any

from tests.net_host import HOME, NetHost, nic
from tui.model.link import (
    BondFacts,
    BondSlaveFacts,
    NetnsKind,
    PortFacts,
    PortState,
    TapOwner,
    TunnelFacts,
)
from tui.model.ovs import Ovs, OvsBridge, OvsInterface, OvsPort
from tui.model.process import QemuNic

FORWARDING = PortFacts(PortState.FORWARDING)
HOSTILE = (
    "\x1b[2J",
    "[@click=app.quit]x",
    "日本語の橋",
    'a"]:::b',
    "<b>&amp;",
    "-rf",
    "ｗｉｄｅ" * 12,
    "a\\b`c#d;",
    "\u202etxet",
)


def company() -> NetHost:
    """A host with one of each: libvirt's NAT network, a bond with VLANs, containers, a firewall namespace, a tunnel, a
    VPN, a QEMU started by hand, and what is plugged into nothing."""
    host = NetHost()
    host.forward()
    eth0 = host.link("eth0", physical=True, speed_mbit=10000)
    host.address(eth0, "192.168.1.5/24")
    host.default_route(eth0, "192.168.1.1")
    virbr0 = host.bridge("virbr0")
    host.address(virbr0, "192.168.122.1/24")
    host.network("default", "virbr0")
    host.network("lab", "virbr9", active=False)
    host.masquerade(HOME, source="192.168.122.0/24")
    host.dhcp(HOME, ("virbr0",), "192.168.122.2", "192.168.122.254")
    for number in range(9):
        host.guest(f"web-{number}", f"vnet{number}", master=virbr0, carrier=number != 5)
    host.guest("frontend-production-eu-west-1a.example.com", "vnet20", master=virbr0,
               port=PortFacts(PortState.LISTENING))  # fmt: skip
    _vlans(host, eth0)
    vpn = host.tap("tun0")
    host.owners[vpn] = (TapOwner(4711, "openvpn"),)
    host.address(vpn, "10.8.0.1/24")
    host.link("eth3", physical=True, up=False, carrier=False)
    host.domain("usernet", nic("52:54:00:99:99:99", "", "", "user"))
    return host


def _vlans(host: NetHost, eth0: str) -> None:
    bond = host.link("bond0", "bond", bond=BondFacts("802.3ad"))
    host.link("eth1", physical=True, master=bond, slave=BondSlaveFacts(True, True))
    host.link("eth2", physical=True, master=bond, up=False, slave=BondSlaveFacts(False, False))
    bridges = {}
    for vlan in (10, 20):
        bridges[vlan] = host.bridge(f"br{vlan}")
        host.link(f"bond0.{vlan}", "vlan", parent=bond, vlan_id=vlan, master=bridges[vlan])
    host.guest("db1", "vnet30", master=bridges[10])
    host.guest("db2", "vnet31", master=bridges[20])
    for name in ("web", "cache", "queue"):
        space = host.netns(name, kind=NetnsKind.CONTAINER)
        _port, end = host.veth(f"veth{name}", "eth0", to=space, master=bridges[10])
        host.address(end, f"10.10.0.{len(name)}/24")
    firewall = host.netns("fw", forwarding=True)
    for vlan, name in ((10, "in"), (20, "out")):
        _port, end = host.veth(f"fw-{vlan}", name, to=firewall, master=bridges[vlan])
        host.address(end, f"10.{vlan}.0.1/24")
    host.link(
        "vx42", "vxlan", master=bridges[20], parent=eth0, tunnel=TunnelFacts(42, "192.168.1.5", "192.168.1.9", 4789)
    )
    host.tap("qtap0", master=bridges[20], pid=777)
    host.qemu("byhand", 777, QemuNic("n0", "tap", "qtap0", None, "52:54:00:11:22:33", None))


def switches() -> NetHost:
    """Open vSwitch: an integration bridge with tags and a bridge of tunnels."""
    host = NetHost()
    for name in ("br-int", "br-tun"):
        host.link(name, "openvswitch")
    host.guest("nfv1", "vnet40")
    host.guest("nfv2", "vnet41")
    host.ovs = Ovs(
        (
            _switch("br-int", _port("vnet40", tag=10), _port("vnet41", trunks=(10, 20)),
                    _port("pa", "patch", peer="pb")),
            _switch("br-tun", _port("pb", "patch", peer="pa"), _port("gre1", "gre", remote_ip="192.0.2.7", key="5"),
                    _port("vx42", "vxlan", remote_ip="192.0.2.8", key="42")),
        ),
        1,
    )  # fmt: skip
    return host


def _switch(name: str, *ports: OvsPort) -> OvsBridge:
    return OvsBridge(f"uuid-{name}", name, name, (_port(name, "internal"), *ports))


def _port(
    name: str, kind: str = "", *, tag: int | None = None, trunks: tuple[int, ...] = (), **options: str
) -> OvsPort:
    item = OvsInterface(name, name, kind, 1, True, True, options=tuple(options.items()))
    return OvsPort(f"uuid-{name}", name, name, (item,), tag, trunks)


def at_random(seed: int, *, hostile: bool = True) -> NetHost:
    """A host that means nothing: links of all kinds tied in all ways that the model can say, loops among them."""
    chosen, host = random.Random(seed), NetHost()
    spaces = [HOME, *(host.netns(_name(chosen, f"ns{n}", hostile), forwarding=chosen.random() < 0.5)
                      for n in range(chosen.randrange(6)))]  # fmt: skip
    if chosen.random() < 0.5:
        host.forward()
    buses = [host.bridge(_name(chosen, f"br{n}", hostile), netns=chosen.choice(spaces))
             for n in range(chosen.randrange(6))]  # fmt: skip
    for number in range(chosen.randrange(40)):
        _something(host, chosen, number, spaces, buses, hostile)
    keys = list(host.links)
    for key in chosen.sample(keys, len(keys) // 2):
        host.address(key, f"10.{chosen.randrange(4)}.0.{chosen.randrange(1, 250)}/16")
    for key in chosen.sample(keys, min(3, len(keys))):
        host.default_route(key, f"10.0.0.{chosen.randrange(254)}")
    for space in spaces:
        if chosen.random() < 0.5:
            host.masquerade(space)
        if chosen.random() < 0.3:
            host.dhcp(space, (), "10.0.0.10", "10.0.0.20")
    return host


def _name(chosen: random.Random, plain: str, hostile: bool) -> str:
    return f"{chosen.choice(HOSTILE)}{plain}" if hostile and chosen.random() < 0.2 else plain


def _something(
    host: NetHost, chosen: random.Random, number: int, spaces: list[str], buses: list[str], hostile: bool
) -> None:
    name = _name(chosen, f"l{number}", hostile)
    space = chosen.choice(spaces)
    here = [bus for bus in buses if host.links[bus].netns == space]
    master = chosen.choice(here) if here and chosen.random() < 0.7 else ""
    links = list(host.links)
    state: dict[str, Any] = {"up": chosen.random() < 0.8, "carrier": chosen.random() < 0.8}
    kind = chosen.choice(("guest", "veth", "vlan", "bond", "vxlan", "macvtap", "plain", "domain", "tap"))
    if kind == "guest":
        host.guest(name, f"t{number}", master=master, netns=space, **state)
    elif kind == "veth":
        to = chosen.choice(spaces)
        there = [bus for bus in buses if host.links[bus].netns == to]
        host.veth(name, f"{name}p", netns=space, to=to, master=master,
                  other_master=chosen.choice(there) if there and chosen.random() < 0.4 else "")  # fmt: skip
    elif kind in ("vlan", "macvtap") and links:
        host.link(name, kind, netns=space, parent=chosen.choice(links), vlan_id=number, master=master, **state)
    elif kind == "bond":
        bond = host.link(name, "bond", netns=space, bond=BondFacts("balance-rr"), master=master)
        host.link(f"{name}s", netns=space, master=bond, slave=BondSlaveFacts(True, True), physical=True)
    elif kind == "vxlan":
        remote = f"10.{chosen.randrange(4)}.0.{chosen.randrange(1, 250)}"
        host.link(name, "vxlan", netns=space, master=master, tunnel=TunnelFacts(number % 3, "10.0.0.1", remote))
    elif kind == "domain":
        host.domain(name, nic(f"52:54:00:00:01:{number:02x}", "", kind=chosen.choice(("user", "network"))))
    else:
        key = host.tap(name, netns=space, master=master, **state)
        if chosen.random() < 0.5:
            host.owners[key] = (TapOwner(number + 2, "vpn"),)
