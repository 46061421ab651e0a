"""The demo host's network, which the test driver knows nothing of: made up, but it follows the guests. Who starts has
its taps plugged in, who is off has none."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tui.demo.networks import NETWORKS
from tui.demo.nodes import mac_of, uuid_of
from tui.demo.walls import firewalls
from tui.demo.wiring import EDGE, HOME, LAN_SUBNET, OVS_BRIDGE, Wired, wired
from tui.model.dnsmasq import DhcpRange, Dnsmasq, Lease
from tui.model.domain import Domain
from tui.model.domain_config import Nic
from tui.model.link import FdbEntry, Links, LinkUsage, TapFacts, TapOwner
from tui.model.ovs import Ovs, OvsBridge, OvsInterface, OvsPort

_S = 1_000_000_000
_HOUR_S = 3600
_FIRST_TAP = 10_000
_BRIDGES = {network.name: network.bridge or network.device for network in NETWORKS}


@dataclass(frozen=True, slots=True)
class _Plug:
    """A NIC of a running guest."""

    domain: Domain
    nic: Nic
    place: str
    """The bridge, or the link that a macvtap lies on."""


class DemoNetwork:
    """Makes the network up from one reading to the next; what has not changed is the same object."""

    def __init__(self) -> None:
        self._nics: tuple[tuple[str, Nic], ...] | None = None
        self._parts: dict[str, Any] = {}
        self._usage: dict[str, LinkUsage] = {}
        self._read_ns = 0

    def read(self, domains: Mapping[str, Domain], now_ns: int) -> dict[str, Any]:
        """Return the parts of a HostSnapshot that tell of the network: links, link_usage, firewalls, ovs, dnsmasqs."""
        guests = sorted(domains.values(), key=lambda domain: domain.name)
        plugs = [plug for domain in guests if domain.active for plug in _plugs(domain)]
        nics = tuple((plug.domain.key, plug.nic) for plug in plugs)
        if nics != self._nics:
            self._nics = nics
            self._parts = _made(plugs, now_ns)
        links: Links = self._parts["links"]
        self._usage = {key: _usage(key, self._usage.get(key), self._read_ns, now_ns) for key in links.links}
        self._read_ns = now_ns
        return {**self._parts, "link_usage": self._usage}


def _plugs(domain: Domain) -> Iterable[_Plug]:
    for nic in domain.config.nics if domain.config is not None else ():
        if nic.target:
            yield _Plug(domain, nic, _BRIDGES.get(nic.source, nic.source) if nic.kind == "network" else nic.source)


def _made(plugs: list[_Plug], now_ns: int) -> dict[str, Any]:
    made = wired()
    addresses = _addresses(plugs)
    taps = {plug.nic.target: _tap(made, plug, addresses) for plug in plugs if plug.place in made.home}
    return {
        "links": made.cables.settled(now_ns),
        "firewalls": firewalls(now_ns),
        "ovs": _ovs([plug for plug in plugs if plug.nic.target in taps and plug.place == OVS_BRIDGE], now_ns),
        "dnsmasqs": _dnsmasqs(plugs, addresses, now_ns),
    }


def _tap(made: Wired, plug: _Plug, addresses: Mapping[str, str]) -> str:
    """Plug a guest in, and let its bridge have learned its address."""
    cables, place, nic = made.cables, made.home[plug.place], plug.nic
    kind, mac = cables.links[place].kind, f"fe{nic.mac[2:]}"
    mtu = cables.links[place].mtu
    # Who starts or ends changes no other's.
    index = _FIRST_TAP + zlib.crc32(nic.target.encode()) % _FIRST_TAP
    if nic.kind == "direct":
        return cables.link(HOME, nic.target, "macvtap", index=index, mac=nic.mac, parent=place, mode="bridge")
    facts = TapFacts("tap", persistent=False)
    master = made.home["ovs-system"] if kind == "openvswitch" else place
    tap = cables.link(
        HOME, nic.target, "tun", index=index, mac=mac, mtu=mtu, master=master, tap=facts, operstate="unknown"
    )
    # libvirt leaves the host's side up when a guest's link is set down.
    cables.owners[tap] = (TapOwner(2000 + (plug.domain.id or 0), "qemu-system-x86"),)
    if kind == "bridge":
        cables.fdb[tap] = (FdbEntry(mac, permanent=True), FdbEntry(nic.mac))
        address = addresses.get(nic.mac)
        if address and place in cables.addresses:
            cables.know(place, [(address, nic.mac)], "reachable" if nic.link_up else "stale")
    return tap


def _addresses(plugs: Iterable[_Plug]) -> dict[str, str]:
    """Return the address of each guest by its MAC, where somebody gives it one: as a rule always the same."""
    found: dict[str, str] = {}
    prefixes = {network.bridge: network.address.rpartition(".")[0] for network in NETWORKS if network.dhcp}
    prefixes["br-lan"] = LAN_SUBNET
    for plug in plugs:
        if (prefix := prefixes.get(plug.place)) is None:
            continue
        number = zlib.crc32(plug.nic.mac.encode())
        while (address := f"{prefix}.{100 + number % 100}") in found.values():
            number += 1
        found[plug.nic.mac] = address
    return found


def _dnsmasqs(plugs: list[_Plug], addresses: Mapping[str, str], now_ns: int) -> tuple[Dnsmasq, ...]:
    """libvirt's, one for each network that gives addresses, and the router's own."""

    def leases(bridge: str) -> tuple[Lease, ...]:
        expires_s = now_ns // _S // _HOUR_S * _HOUR_S + 2 * _HOUR_S
        return tuple(
            Lease(addresses[plug.nic.mac], plug.nic.mac, plug.domain.name, expires_s)
            for plug in plugs
            if plug.place == bridge and plug.nic.mac in addresses
        )

    found = []
    for number, network in enumerate(network for network in NETWORKS if network.active and network.dhcp):
        prefix = network.address.rpartition(".")[0]
        config = f"/var/lib/libvirt/dnsmasq/{network.name}.conf"
        found.append(
            Dnsmasq(
                f"{1400 + number}:900", 1400 + number, HOME, (network.bridge,),
                (DhcpRange(f"{prefix}.100", f"{prefix}.199"),), leases(network.bridge),
                network=network.name, config_path=config,
                lease_path=f"/var/lib/libvirt/dnsmasq/{network.bridge}.status",
            )
        )  # fmt: skip
    router = Dnsmasq(
        "2210:1200", 2210, EDGE, ("lan0",), (DhcpRange(f"{LAN_SUBNET}.100", f"{LAN_SUBNET}.199"),),
        leases("br-lan"), config_path="/etc/edge/dnsmasq.conf", lease_path="/var/lib/edge/leases",
    )  # fmt: skip
    return (*found, router)


def _ovs(plugs: list[_Plug], now_ns: int) -> Ovs:
    """Two bridges joined by patch ports: the guests with their tags and the bond on one, tunnels on the other."""
    guests = [
        _port(plug.nic.target, "", mac=f"fe{plug.nic.mac[2:]}", tag=int(plug.nic.vlan or 0) or None, ids={
            "attached-mac": plug.nic.mac, "vm-id": plug.domain.key,
        })
        for plug in plugs
    ]  # fmt: skip
    outer = (
        _port(OVS_BRIDGE, "internal"),
        replace(_port("bond0", ""), trunks=(110, 120, 130)),
        _port("edge-dmz", "", tag=120),
        _port("dmz-to-tun", "patch", options={"peer": "tun-to-dmz"}),
        *guests,
    )
    inner = (
        _port("br-tun", "internal"),
        _port("tun-to-dmz", "patch", options={"peer": "dmz-to-tun"}),
        _port("vx-site-c", "vxlan", options={"key": "130", "remote_ip": "203.0.113.45"}),
        _port("gre-partner", "gre", options={"key": "9", "remote_ip": "192.0.2.61"}, tag=120),
    )
    bridges = (_bridge(OVS_BRIDGE, outer), _bridge("br-tun", inner))
    return Ovs(bridges, now_ns, version="3.1.0", netns=HOME)


def _bridge(name: str, ports: tuple[OvsPort, ...]) -> OvsBridge:
    return OvsBridge(uuid_of("ovs-bridge", name), name, name, ports, datapath="system", fail_mode="standalone")


def _port(
    name: str,
    kind: str,
    *,
    mac: str = "",
    tag: int | None = None,
    options: Mapping[str, str] | None = None,
    ids: Mapping[str, str] | None = None,
) -> OvsPort:
    interface = OvsInterface(
        name=name,
        raw_name=name,
        kind=kind,
        ofport=1 + zlib.crc32(name.encode()) % 60,
        up=True,
        admin_up=True,
        mac=mac or mac_of(name, 0),
        options=tuple(sorted((options or {}).items())),
        external_ids=tuple(sorted((ids or {}).items())),
    )
    return OvsPort(uuid_of("ovs-port", name), name, name, (interface,), tag=tag)


def _usage(key: str, before: LinkUsage | None, before_ns: int, now_ns: int) -> LinkUsage:
    """Return counters that a steady wave of traffic, one for each link, has driven since the reading before."""
    seed = zlib.crc32(key.encode()) / 0xFFFFFFFF
    wave = 1 + 0.6 * math.sin(now_ns / _S / (15 + 40 * seed) + seed * 30)
    rx = 0.0 if seed < 0.25 else seed**4 * 60e6 * wave
    tx = rx * (0.15 + seed / 2)
    elapsed_s = (now_ns - before_ns) / _S if before is not None else 0.0
    old = before or LinkUsage(int(seed * 9e11), int(seed * 4e11), int(seed * 8e8), int(seed * 5e8), 0, 0, 0, 0)
    return replace(
        old,
        rx_bytes=old.rx_bytes + int(rx * elapsed_s),
        tx_bytes=old.tx_bytes + int(tx * elapsed_s),
        rx_packets=old.rx_packets + int(rx * elapsed_s / 900),
        tx_packets=old.tx_packets + int(tx * elapsed_s / 600),
        rx_bytes_per_s=rx if before is not None else None,
        tx_bytes_per_s=tx if before is not None else None,
        rx_packets_per_s=rx / 900 if before is not None else None,
        tx_packets_per_s=tx / 600 if before is not None else None,
    )
