"""Networks and host interfaces of the demo host."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

from tui.demo.nodes import child, mac_of, uuid_of


@dataclass(frozen=True, slots=True)
class Network:
    """A libvirt network; `forward` None is an isolated one."""

    name: str
    bridge: str = ""
    forward: str | None = "nat"
    device: str = ""
    address: str = ""
    """IPv4 address of the host's side, a /24 with DHCP from .100 to .199 when `dhcp` is set."""
    dhcp: bool = False
    domain: str = ""
    mtu: int = 0
    vlans: tuple[tuple[str, int], ...] = ()
    """Port groups of an Open vSwitch bridge: (name, VLAN)."""
    autostart: bool = True
    active: bool = True


NETWORKS = (
    Network("default", "virbr0", address="192.168.122.1", dhcp=True, domain="demo.example.net"),
    Network("lan", "br-lan", "bridge"),
    Network("dmz", "br-dmz", "bridge", vlans=(("public", 110), ("partners", 120), ("voice", 130))),
    Network("lab", "virbr10", "route", "eno2", "10.20.30.1", dhcp=True, domain="lab.example.net"),
    Network("storage", "virbr20", None, address="172.16.40.1", mtu=9000),
    Network("guests", "virbr30", "open", address="10.99.0.1", dhcp=True),
    Network("direct-10g", forward="bridge", device="enp65s0f0"),
    Network("[b]日本\u009b7m\u202e$(id)", "virbr31", None),
    Network("old-office", "virbr99", address="192.168.77.1", dhcp=True, autostart=False, active=False),
)


def network_elements(reserved: Iterable[str]) -> list[ET.Element]:
    """Return the <network> elements; `reserved` names the guests with a fixed address on "default"."""
    elements = [_network(network) for network in NETWORKS]
    pool = elements[0].find("ip/dhcp")
    for number, name in enumerate(reserved, 10):
        if pool is not None:
            child(pool, "host", mac=mac_of(name, 0), name=name, ip=f"192.168.122.{number}")
    return elements


def interface_elements() -> list[ET.Element]:
    """Return the <interface> elements: two Ethernet ports of the host and a bridge."""
    return [_ethernet("eno1", "198.51.100.21"), _ethernet("eno2", "10.20.30.254"), _bridge("br-lan", "enp65s0f1")]


def _network(network: Network) -> ET.Element:
    element = ET.Element("network")
    child(element, "name", network.name)
    child(element, "uuid", uuid_of("network", network.name))
    if network.forward:
        _forward(element, network)
    if network.bridge:
        child(element, "bridge", name=network.bridge)
    if network.mtu:
        child(element, "mtu", size=network.mtu)
    if network.domain:
        child(element, "domain", name=network.domain, localOnly="yes")
    if network.vlans:
        _port_groups(element, network)
    if network.address:
        _address(element, network)
    return element


def _forward(element: ET.Element, network: Network) -> None:
    forward = child(element, "forward", mode=network.forward or "")
    if network.device and network.bridge:
        forward.set("dev", network.device)
    elif network.device:
        child(forward, "interface", dev=network.device)


def _port_groups(element: ET.Element, network: Network) -> None:
    child(element, "virtualport", type="openvswitch")
    for index, (name, tag) in enumerate(network.vlans):
        group = child(element, "portgroup", name=name)
        if index == 0:
            group.set("default", "yes")
        child(child(group, "vlan"), "tag", id=tag)


def _address(element: ET.Element, network: Network) -> None:
    ip = child(element, "ip", address=network.address, netmask="255.255.255.0")
    if network.dhcp:
        prefix = network.address.rpartition(".")[0]
        child(child(ip, "dhcp"), "range", start=f"{prefix}.100", end=f"{prefix}.199")


def _ethernet(name: str, address: str) -> ET.Element:
    element = ET.Element("interface", type="ethernet", name=name)
    child(element, "start", mode="onboot")
    child(element, "mac", address=mac_of("host", len(name) + ord(name[-1])))
    child(element, "mtu", size=1500)
    child(child(element, "protocol", family="ipv4"), "ip", address=address, prefix=24)
    return element


def _bridge(name: str, port: str) -> ET.Element:
    element = ET.Element("interface", type="bridge", name=name)
    child(element, "start", mode="onboot")
    bridge = child(element, "bridge", stp="off")
    child(bridge, "interface", type="ethernet", name=port)
    return element
