"""The fixed part of the demo host's network: uplinks, bridges, a router and containers in namespaces of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tui.demo.cables import BLOCKING, FORWARDING, QUIET_BRIDGE, STP_BRIDGE, Cables
from tui.demo.networks import NETWORKS
from tui.model.link import BondFacts, BondSlaveFacts, NetnsKind, TunnelFacts

HOME, EDGE, HOSTILE = "4026531840", "4026532301", "4026532399"
CONTAINERS = (("4026532411", "registry", 31020), ("4026532412", "metrics", 31188))
HOSTILE_NETNS = "[red]ns\x1b[2J\u202egpj"
HOSTILE_LINK = "[b]$(id)\u009b7m"
OVS_BRIDGE = "br-dmz"
LAN_SUBNET = "10.1.0"
_FAST = 10_000


@dataclass(frozen=True, slots=True)
class Wired:
    """The table, and the keys of those links that others are plugged into, by name."""

    cables: Cables
    home: dict[str, str]


def wired() -> Wired:
    """Return the network of the host without its guests."""
    cables = Cables()
    cables.space(HOME, "host", NetnsKind.HOME, forwarding=True)
    home: dict[str, str] = {}
    _uplinks(cables, home)
    _bridges(cables, home)
    _tunnels(cables, home)
    _router(cables, home)
    _containers(cables, home)
    _hostile(cables, home)
    return Wired(cables, home)


def _uplinks(cables: Cables, home: dict[str, str]) -> None:
    """Two plain ports, one for the LAN's bridge, and a bond of two that is the trunk for the DMZ."""
    for name, speed in (("eno1", 1000), ("eno2", 1000), ("enp65s0f0", _FAST), ("enp65s0f1", _FAST)):
        home[name] = cables.link(HOME, name, "ethernet", physical=True, speed_mbit=speed, duplex="full")
    cables.address(home["eno1"], "198.51.100.21/24")
    cables.address(home["eno2"], "10.20.30.254/24")
    cables.route(HOME, "default", home["eno1"], "198.51.100.1")
    cables.route(HOME, "198.51.100.0/24", home["eno1"], protocol="kernel")
    cables.know(home["eno1"], [("198.51.100.1", "00:00:5e:00:01:33")])
    bond = home["bond0"] = cables.link(HOME, "bond0", "bond", bond=BondFacts("active-backup", miimon_ms=100))
    for name, alive in (("enp129s0f0", True), ("enp129s0f1", False)):
        home[name] = cables.link(
            HOME, name, "ethernet", mac=cables.links[bond].mac, physical=True, master=bond, carrier=alive,
            speed_mbit=_FAST if alive else None, duplex="full" if alive else "",
            slave=BondSlaveFacts(active=alive, up=alive, failures=0 if alive else 3),
        )  # fmt: skip
    facts = BondFacts("active-backup", active=home["enp129s0f0"], miimon_ms=100)
    cables.links[bond] = replace(cables.links[bond], bond=facts)
    home["bond0.40"] = cables.link(
        HOME, "bond0.40", "vlan", mac=cables.links[bond].mac, mtu=9000, parent=bond, vlan_id=40, vlan_protocol="802.1Q"
    )


def _bridges(cables: Cables, home: dict[str, str]) -> None:
    """The bridges of libvirt's networks, br-lan, and the datapath of Open vSwitch."""
    for network in NETWORKS:
        if not network.active or not network.bridge or network.bridge == OVS_BRIDGE:
            continue
        facts = STP_BRIDGE if network.bridge == "br-lan" else QUIET_BRIDGE
        # A bridge without ports has no carrier.
        empty = not network.address and network.bridge != "br-lan"
        key = cables.link(HOME, network.bridge, "bridge", bridge=facts, mtu=network.mtu or 1500, carrier=not empty)
        home[network.bridge] = key
        if network.address:
            cables.address(key, f"{network.address}/24")
            cables.route(HOME, f"{network.address.rpartition('.')[0]}.0/24", key, protocol="kernel")
    cables.address(home["br-lan"], f"{LAN_SUBNET}.2/16")
    for port, bridge in (("enp65s0f1", "br-lan"), ("bond0.40", "virbr20")):
        _plug(cables, home[port], home[bridge])
    datapath = home["ovs-system"] = cables.link(HOME, "ovs-system", "openvswitch", up=False, carrier=False)
    for name in (OVS_BRIDGE, "br-tun"):
        home[name] = cables.link(HOME, name, "openvswitch", carrier=True, operstate="unknown")
    bond = cables.links[home["bond0"]]
    cables.links[bond.key] = replace(bond, master=datapath, master_kind="openvswitch")


def _plug(cables: Cables, port: str, bridge: str) -> None:
    cables.links[port] = replace(cables.links[port], master=bridge, master_kind="bridge", port=FORWARDING)


def _tunnels(cables: Cables, home: dict[str, str]) -> None:
    """A VXLAN that joins the LAN of the other site, kept quiet by STP, and a GRE to a branch office."""
    home["vx-site-b"] = cables.link(
        HOME, "vx-site-b", "vxlan", mtu=1450, master=home["br-lan"], port=BLOCKING, parent=home["eno1"],
        tunnel=TunnelFacts(4201, "198.51.100.21", "203.0.113.21", 4789),
    )  # fmt: skip
    home["gre-branch"] = cables.link(
        HOME, "gre-branch", "gre", mac="", mtu=1476, operstate="unknown",
        tunnel=TunnelFacts(77, "198.51.100.21", "203.0.113.77"),
    )  # fmt: skip
    cables.address(home["gre-branch"], "10.80.255.1/30")
    cables.route(HOME, "10.80.0.0/16", home["gre-branch"], "10.80.255.2")


def _router(cables: Cables, home: dict[str, str]) -> None:
    """A router in a namespace: a leg in the LAN, a leg in the DMZ, where it hides what is behind it."""
    cables.space(EDGE, "edge", NetnsKind.NAMED, forwarding=True)
    _, inner = cables.pair((HOME, "edge-lan"), (EDGE, "lan0"), master=home["br-lan"])
    _, outer = cables.pair((HOME, "edge-dmz"), (EDGE, "dmz0"), master=home["ovs-system"])
    for key in (inner, outer):
        cables.links[key] = replace(cables.links[key], forwarding=True, rp_filter=1)
    cables.address(inner, f"{LAN_SUBNET}.1/16")
    cables.address(outer, "203.0.113.130/25")
    cables.route(EDGE, "default", outer, "203.0.113.129")
    cables.route(EDGE, f"{LAN_SUBNET}.0/16", inner, protocol="kernel")
    cables.know(outer, [("203.0.113.129", "00:00:5e:00:01:82")])


def _containers(cables: Cables, home: dict[str, str]) -> None:
    """Docker's bridge with two containers."""
    docker = home["docker0"] = cables.link(HOME, "docker0", "bridge", bridge=QUIET_BRIDGE)
    cables.address(docker, "172.17.0.1/16")
    cables.route(HOME, "172.17.0.0/16", docker, protocol="kernel")
    for number, (key, name, pid) in enumerate(CONTAINERS, 2):
        cables.space(key, name, NetnsKind.CONTAINER, pid=pid)
        _, inner = cables.pair((HOME, f"veth{key[-3:]}a{number}"), (key, "eth0"), master=docker)
        cables.address(inner, f"172.17.0.{number}/16")
        cables.route(key, "default", inner, "172.17.0.1")


def _hostile(cables: Cables, home: dict[str, str]) -> None:
    """Names that try to break a screen; the kernel takes them."""
    cables.space(HOSTILE, HOSTILE_NETNS, NetnsKind.NAMED)
    cables.pair((HOME, HOSTILE_LINK), (HOSTILE, "日本\u202e0"), master=home["virbr0"], alias="␛[31malias")
    cables.link(HOME, "lost0", "veth", up=False, carrier=False, parent_netns_unseen=True)
