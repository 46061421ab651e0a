"""Network XML (https://libvirt.org/formatnetwork.html) to NetworkConfig."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from tui.model.dnsmasq import DhcpRange
from tui.model.network import DhcpHost, DnsHost, NetworkAddress, NetworkConfig, PortGroup
from tui.model.text import clean
from tui.model.xml_values import attribute, integer

Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network

_DIRECT = frozenset({"private", "vepa", "passthrough"})


def parse_network_xml(xml: str) -> NetworkConfig:
    """Return what virtdeck uses of a network XML; raises xml.etree.ElementTree.ParseError when it is not XML."""
    root = ET.fromstring(xml)
    forward = root.find("forward")
    mode = "" if forward is None else clean(forward.get("mode", "nat"))
    bridge = attribute(root, "bridge", "name") or ""
    links = () if forward is None else tuple(clean(i.get("dev", "")) for i in forward.iterfind("interface"))
    stp = attribute(root, "bridge", "stp")
    return NetworkConfig(
        bridge=clean(bridge),
        raw_bridge=bridge,
        mode=mode,
        device=clean(attribute(root, "forward", "dev") or ""),
        interfaces=tuple(filter(None, links)),
        addresses=tuple(_address(ip) for ip in root.iterfind("ip")),
        domain=clean(attribute(root, "domain", "name") or ""),
        dns_hosts=tuple(_dns_host(host) for host in root.iterfind("dns/host")),
        virtualport=clean(attribute(root, "virtualport", "type") or ""),
        portgroups=tuple(_portgroup(group) for group in root.iterfind("portgroup")),
        vlans=_vlans(root),
        stp=None if stp is None else stp == "on",
        mtu=integer(attribute(root, "mtu", "size"), 0) or None,
        mac=clean(attribute(root, "mac", "address") or ""),
        macvtap=mode in _DIRECT or (mode == "bridge" and not bridge),
        delay_s=None if (delay := integer(attribute(root, "bridge", "delay"), -1)) < 0 else delay,
    )


def _address(ip: ET.Element) -> NetworkAddress:
    dhcp = ip.find("dhcp")
    found: Iterable[ET.Element] = () if dhcp is None else dhcp
    inside = list(found)
    return NetworkAddress(
        address=clean(ip.get("address", "")),
        prefix=_prefix(ip),
        ranges=tuple(
            DhcpRange(clean(range_.get("start", "")), clean(range_.get("end", "")))
            for range_ in inside
            if range_.tag == "range"
        ),
        hosts=tuple(_dhcp_host(host) for host in inside if host.tag == "host"),
        tftp_root=clean(attribute(ip, "tftp", "root") or ""),
    )


def _prefix(ip: ET.Element) -> int | None:
    """As virNetworkIPDefPrefix has it: what is said, else that of the address's class, 64 of IPv6."""
    said = integer(ip.get("prefix"), -1)
    if said >= 0:
        return said
    try:
        if (mask := ip.get("netmask")) is not None:
            return ipaddress.ip_network(f"0.0.0.0/{mask}").prefixlen
        address = ipaddress.ip_address(ip.get("address", ""))
    except ValueError:
        return None
    if address.version == 6:
        return 64
    first = int(address) >> 24
    return 8 if first < 128 else 16 if first < 192 else 24


def _dhcp_host(host: ET.Element) -> DhcpHost:
    address, mac, name, duid = (clean(host.get(key, "")) for key in ("ip", "mac", "name", "id"))
    return DhcpHost(address, mac, name, ET.tostring(host, encoding="unicode").strip(), duid)


def _dns_host(host: ET.Element) -> DnsHost:
    names = tuple(clean((name.text or "").strip()) for name in host.iterfind("hostname"))
    return DnsHost(clean(host.get("ip", "")), names, ET.tostring(host, encoding="unicode").strip())


def _portgroup(group: ET.Element) -> PortGroup:
    raw = group.get("name", "")
    trunk = attribute(group, "vlan", "trunk") == "yes"
    return PortGroup(clean(raw), group.get("default") == "yes", _vlans(group), trunk, raw)


def _vlans(parent: ET.Element) -> tuple[int, ...]:
    return tuple(integer(tag.get("id"), 0) for tag in parent.iterfind("vlan/tag"))


def subnet_of(address: NetworkAddress) -> Subnet | None:
    """Return the subnet that an address of a network lies in; None when it cannot be told."""
    if address.prefix is None:
        return None
    try:
        return ipaddress.ip_network(f"{address.address}/{address.prefix}", strict=False)
    except ValueError:
        return None
