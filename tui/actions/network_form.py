"""A new network out of a form: its subnets checked against each other, other networks and the host's routes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from tui.actions.base import Context, Field, FieldError, FieldKind, Values, choice
from tui.actions.network_steps import Address, address_of, all_networks, subnets
from tui.actions.pool_steps import plain_name
from tui.model.network import Network, NetworkConfig
from tui.model.network_new import KINDS, OWN_BRIDGE, NewAddress, NewGroup, NewNetwork
from tui.model.network_xml import Subnet
from tui.model.text import clean

NONE = "none"
DIRECT_MODES = ("bridge", "vepa", "private", "passthrough")

_LINK = re.compile(r"[^\s/:%\x00-\x1f]{1,15}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_GROUP = re.compile(r"[^\s=;,]+")
# IEEE 802.1Q: 0 and 4095 are reserved.
_VLANS = range(1, 4095)
_MTUS = range(68, 65536)
# From where libvirt's own default network is.
_FIRST_PROPOSED = 122


def form_network(context: Context, values: Values, uuid: str) -> NewNetwork:
    """Return the network that the fields say; raises FieldError."""
    kind, name = values["kind"], values["name"].strip()
    _check_name(context, name)
    made = NewNetwork(
        name=name,
        uuid=uuid,
        kind=kind,
        bridge=_bridge(context, kind, values["bridge"].strip()),
        device=_device(kind, values["device"].strip()),
        addresses=tuple(_addresses(context, kind, values)),
        domain=_domain(kind, values["domain"].strip()),
        mtu=mtu_of(values["mtu"].strip()),
        groups=tuple(_groups(values["portgroups"])),
        direct=values["direct"],
    )
    if kind != "macvtap" and made.direct != DIRECT_MODES[0]:
        raise FieldError("direct", "only a macvtap has a mode; leave it at bridge")
    if made.mtu and kind not in OWN_BRIDGE:
        raise FieldError("mtu", f"the MTU of a network of kind {kind} is that of its bridge or link")
    return made


def _check_name(context: Context, name: str) -> None:
    if not name:
        raise FieldError("name", "give the network a name")
    if "/" in name or not plain_name(name):
        raise FieldError("name", "must be printable, hold no / and not begin with -")
    if any(network.raw_name == name for network in all_networks(context)):
        raise FieldError("name", f"{name} exists already")


def link_name(field: str, text: str) -> str:
    """Return a name that a link of the host may have; raises FieldError."""
    if not _LINK.fullmatch(text) or text in (".", "..") or not text.isprintable() or text.startswith("-"):
        raise FieldError(field, "the name of a link has 1 to 15 characters, and no blank, / : or %")
    return text


def _bridge(context: Context, kind: str, text: str) -> str:
    """The bridge; "" for one that libvirt makes and names."""
    if kind == "macvtap":
        if text:
            raise FieldError("bridge", "a macvtap has no bridge; give the link as device")
        return ""
    if not text:
        if kind in OWN_BRIDGE:
            return ""
        raise FieldError("bridge", "give the bridge on the host that guests are to be plugged into")
    link_name("bridge", text)
    if kind in OWN_BRIDGE:
        check_own_bridge(context, text)
    return text


def check_own_bridge(context: Context, name: str, but: str = "") -> None:
    """Raise FieldError when another network than that of the UUID `but` has a bridge of that name."""
    for network in all_networks(context):
        if network.key != but and any(config.raw_bridge == name for config in _configs(network)):
            raise FieldError("bridge", f"{network.name} has a bridge {clean(name)} already")


def _configs(network: Network) -> list[NetworkConfig]:
    """Both sides of a network, as far as there are any."""
    return [config for config in (network.config, network.persistent_config) if config is not None]


def _device(kind: str, text: str) -> str:
    if kind == "macvtap" and not text:
        raise FieldError("device", "give the link of the host that guests share")
    if text and kind in ("isolated", "open", "bridge", "ovs"):
        raise FieldError("device", f"a network of kind {kind} is not bound to a link; leave it empty")
    return link_name("device", text) if text else ""


def _domain(kind: str, text: str) -> str:
    if not text:
        return ""
    if kind not in OWN_BRIDGE:
        raise FieldError("domain", f"libvirt answers no DNS in a network of kind {kind}; leave it empty")
    return domain_name("domain", text)


def domain_name(field: str, text: str) -> str:
    """Return a DNS name; raises FieldError."""
    if not _DOMAIN.fullmatch(text):
        raise FieldError(field, f"{text!r} is no DNS name: letters, digits and - between dots")
    return text


def mtu_of(text: str) -> int | None:
    """Return the MTU that a text says; raises FieldError."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) in _MTUS):
        raise FieldError("mtu", "must be from 68 to 65535 bytes")
    return int(text)


def vlans_of(field: str, text: str) -> tuple[int, ...]:
    """Return the VLANs of a list such as 10 or 10,20; raises FieldError."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) < 5 and int(word) in _VLANS):
            raise FieldError(field, f"a VLAN is a number from 1 to 4094, not {word!r}")
    return tuple(dict.fromkeys(int(word) for word in words))


def _groups(text: str) -> Iterable[NewGroup]:
    """`lan=10; trunk=20,30; plain`, the first is the default one."""
    seen = set()
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, vlans = (word.strip() for word in part.partition("="))
        if not _GROUP.fullmatch(name) or not name.isprintable() or name in seen:
            raise FieldError("portgroups", f"{part!r}: each has a name of its own, as in lan=10; trunk=20,30")
        seen.add(name)
        yield NewGroup(name, vlans_of("portgroups", vlans) if equals else ())


# Addresses


def _addresses(context: Context, kind: str, values: Values) -> Iterable[NewAddress]:
    """The addresses of its bridge, IPv4 first."""
    texts = {name: values[name].strip() for name in ("address", "range", "address6", "range6")}
    if kind not in OWN_BRIDGE:
        given = next((name for name, text in texts.items() if text and text != NONE), None)
        if given:
            raise FieldError(given, f"who is on the bridge or link gives the addresses in a network of kind {kind}")
        return
    first = texts["address"] or (proposed(context) if not texts["address6"] else NONE)
    if first != NONE:
        yield _address(context, "address", first, "range", texts["range"] or "all")
    elif texts["range"] not in ("", NONE):
        raise FieldError("range", "there is no IPv4 address that it could belong to")
    if texts["address6"] not in ("", NONE):
        yield _address(context, "address6", texts["address6"], "range6", texts["range6"] or NONE)
    elif texts["range6"] not in ("", NONE):
        raise FieldError("range6", "there is no IPv6 address that it could belong to")
    elif first == NONE and kind != "isolated":
        raise FieldError("address", f"a network of kind {kind} needs an address")


def proposed(context: Context) -> str:
    """Return the first /24 from 192.168.122.0 on that no network, address or route of the host has, by its first
    address; "none" when there is none left."""
    taken = [*_taken(context, ""), *_routes(context)]
    for third in range(_FIRST_PROPOSED, 256):
        subnet = ipaddress.ip_network(f"192.168.{third}.0/24")
        if not any(_meet(subnet, other) for other, _who in taken):
            return f"{subnet[1]}/24"
    return NONE


def _address(context: Context, field: str, text: str, range_field: str, range_text: str) -> NewAddress:
    address, subnet = interface_of(field, text, 6 if field == "address6" else 4)
    refuse_overlap(context, field, subnet)
    if range_text == NONE:
        return NewAddress(str(address), subnet.prefixlen)
    if range_text == "all":
        first, last = _whole(address, subnet)
        return NewAddress(str(address), subnet.prefixlen, str(first), str(last))
    first, last = range_of(range_field, range_text, subnet, address)
    return NewAddress(str(address), subnet.prefixlen, str(first), str(last))


def interface_of(field: str, text: str, version: int) -> tuple[Address, Subnet]:
    """Return an address and its subnet, as 192.168.5.1/24 says them; raises FieldError."""
    try:
        if "/" not in text:
            raise ValueError("no prefix")
        made = ipaddress.ip_interface(text)
    except ValueError as error:
        raise FieldError(field, f"{text!r} is no address with its prefix, as 192.168.5.1/24") from error
    if made.version != version:
        raise FieldError(field, f"must be an IPv{version} address")
    address, subnet = made.ip, made.network
    if subnet.num_addresses < 4:
        raise FieldError(field, "leaves no address for a guest")
    if address == subnet.network_address or (version == 4 and address == subnet.broadcast_address):
        raise FieldError(field, f"{address} is the address of the subnet {subnet} itself; take {subnet[1]}")
    if address.is_multicast or address.is_loopback or address.is_unspecified:
        raise FieldError(field, f"{address} is no address of a network card")
    return address, subnet


def _whole(address: Address, subnet: Subnet) -> tuple[Address, Address]:
    """The longer part of the subnet before or behind its own address."""
    low, high = subnet[1], subnet[-2]
    if int(address) - int(low) > int(high) - int(address):
        return low, address - 1
    return address + 1, high


def range_of(field: str, text: str, subnet: Subnet, own: Address | None = None) -> tuple[Address, Address]:
    """Return the first and last address of FIRST-LAST, which lie in the subnet and leave out `own`; raises
    FieldError."""
    first_text, dash, last_text = (part.strip() for part in text.partition("-"))
    if not dash:
        raise FieldError(field, f"write it as {subnet[2]}-{subnet[-2]}, or {NONE}")
    first, last = address_of(field, first_text), address_of(field, last_text)
    for address in (first, last):
        if address.version != subnet.version or address not in subnet:
            raise FieldError(field, f"{address} is not in {subnet}")
        if address == subnet.network_address or (subnet.version == 4 and address == subnet.broadcast_address):
            raise FieldError(field, f"{address} is no address for a guest in {subnet}")
    if int(first) > int(last):
        raise FieldError(field, f"{first} comes after {last}")
    if own is not None and int(first) <= int(own) <= int(last):
        raise FieldError(field, f"holds {own}, which is the network's own address")
    return first, last


def refuse_overlap(context: Context, field: str, subnet: Subnet, but: str = "") -> None:
    """Raise FieldError when another network than that of the UUID `but`, or an address of the host, lies in the subnet:
    libvirt refuses to start it then, or worse, does not."""
    for other, who in _taken(context, but):
        if _meet(other, subnet):
            raise FieldError(field, f"{subnet} overlaps with {other} of {who}")


def overlap_notes(context: Context, made: Iterable[Subnet], own_bridge: str = "") -> Sequence[str]:
    """Return what is to be said of routes of the host that these subnets cut through."""
    return [
        f"the host's route to {route} over {who} overlaps with {subnet}: guests and host do not reach what is there"
        for subnet in made
        for route, who in _routes(context)
        if who != own_bridge and _meet(route, subnet)
    ]


def _meet(one: Subnet, other: Subnet) -> bool:
    """Whether two subnets have an address in common; those of different families have none."""
    return other.network_address in one or one.network_address in other


def _taken(context: Context, but: str) -> list[tuple[Subnet, str]]:
    """The subnets of the other networks and of the host's links, and whose they are."""
    others = [network for network in all_networks(context) if network.key != but]
    found = [
        (subnet, f"the network {network.name}")
        for network in others
        for config in _configs(network)
        for subnet in subnets(config).values()
    ]
    bridges = {network.config.raw_bridge for network in all_networks(context)}
    return [*found, *_host_subnets(context, bridges)]


def _host_subnets(context: Context, but: set[str]) -> Iterable[tuple[Subnet, str]]:
    """The subnets of the addresses in the host's own namespace, but for those of libvirt's bridges."""
    links = context.snapshot.links
    home = None if links is None else links.home
    if links is None or home is None:
        return
    for key, link in links.links.items():
        if link.netns != home.key or link.raw_name in but or link.kind == "loopback":
            continue
        for address in links.addresses.get(key, ()):
            if address.scope == "global" and address.prefix < (128 if address.ipv6 else 32):
                yield ipaddress.ip_network(f"{address.address}/{address.prefix}", strict=False), f"link {link.name}"


def _routes(context: Context) -> Iterable[tuple[Subnet, str]]:
    """The host's routes but for the default one, and the links they go over."""
    links = context.snapshot.links
    home = None if links is None else links.home
    if links is None or home is None:
        return
    for route in links.routes.get(home.key, ()):
        if route.destination == "default" or route.destination.endswith("/0") or route.kind != "unicast":
            continue
        link = links.links.get(route.hops[0].link or "") if route.hops else None
        try:
            yield ipaddress.ip_network(route.destination, strict=False), link.name if link is not None else "?"
        except ValueError:
            continue


def _text(name: str, label: str, help: str) -> Field:
    return Field(name, label, FieldKind.TEXT, help=help, optional=True)


FIELDS = (
    _text("name", "Name", ""),
    choice("kind", "Kind", KINDS, "bridge, ovs: a bridge that is there; macvtap: a link that guests share"),
    _text("address", "IPv4 address", "of the host in it, as 192.168.5.1/24; empty: a free one, or none"),
    _text("range", "DHCP range", "FIRST-LAST, or none; empty: the rest of the subnet"),
    _text("address6", "IPv6 address", "as fd00:5::1/64; empty: none"),
    _text("range6", "DHCPv6 range", "FIRST-LAST; empty: none, guests make up their own"),
    _text("bridge", "Bridge", "of bridge and ovs: the one to use; else empty: libvirt names it"),
    _text("device", "Link", "of macvtap: the one to share; of nat and route: the only one to go out by"),
    choice("direct", "macvtap mode", DIRECT_MODES),
    _text("domain", "DNS domain", "what its guests' names end in"),
    _text("mtu", "MTU", "empty: the usual one"),
    _text("portgroups", "Portgroups", "as lan=10; trunk=20,30: the VLANs of each, the first is the default"),
)
"""What a new network is asked for."""
