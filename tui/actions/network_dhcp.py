"""Static DHCP hosts of a network: added and taken away while it runs, and for its next start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree import ElementTree as ET

from tui.actions import network_steps as steps
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.network_form import domain_name
from tui.actions.network_steps import WHERE, Address, Side, address_of, as_network, guests_of, named, sides
from tui.model.kind import Kind
from tui.model.network import DhcpHost, Network
from tui.model.network_guests import Plugged
from tui.model.network_new import OWN_BRIDGE
from tui.model.nic_xml import is_mac
from tui.model.plan import Step
from tui.ops.networks import UpdateNetwork

_SECTION = "ip-dhcp-host"


@dataclass(frozen=True, slots=True)
class _Wish:
    """A host that always gets an address: `client` is its MAC, or what an IPv6 client is known by."""

    client: str
    address: Address
    name: str

    def xml(self) -> str:
        """Return its `<host>`."""
        host = ET.Element("host")
        if self.client:
            host.set("mac" if self.address.version == 4 else "id", self.client)
        if self.name:
            host.set("name", self.name)
        host.set("ip", str(self.address))
        return ET.tostring(host, encoding="unicode")


def own_bridge(target: Target) -> Reason:
    """Return why libvirt serves neither DHCP nor DNS in a network; None where it does."""
    network = as_network(target)
    if network.config.words in OWN_BRIDGE and network.config.addresses:
        return None
    why = "it has no address" if network.config.words in OWN_BRIDGE else f"it is of kind {network.config.words}"
    return f"libvirt serves no DHCP and DNS in it: {why}"


def _add_reason(_context: Context, target: Target) -> Reason:
    return own_bridge(target)


def _remove_reason(_context: Context, target: Target) -> Reason:
    network = as_network(target)
    there = any(_hosts(side) for side in _both(network))
    return own_bridge(target) or (None if there else "it has no static hosts")


def _both(network: Network) -> list[Side]:
    return sides(network, {"where": "both"})


def _hosts(side: Side) -> list[tuple[int, DhcpHost]]:
    """The static hosts of a side with the place of their `<ip>`."""
    return [(index, host) for index, ip in enumerate(side.config.addresses) for host in ip.hosts]


def _add(context: Context, target: Target, values: Values) -> Sequence[Step]:
    network = as_network(target)
    wish, found = _wish(context, network, values), []
    for side in sides(network, values):
        index = _index(network, side, wish.address)
        _refuse_same(network, side, wish)
        found.append(_change(context, network, side, "add-last", index, wish.xml(), _words(wish.xml())))
    return found


def _wish(context: Context, network: Network, values: Values) -> _Wish:
    address = address_of("address", values["address"].strip())
    client, guest = _client(context, network, values["client"].strip(), address)
    name = values["name"].strip()
    if not name and guest is not None:
        name = guest if _is_name(guest) else ""
    if not client and not name:
        raise FieldError("name", "give a DUID, or the name that the guest asks for an address by")
    return _Wish(client, address, domain_name("name", name) if name else "")


def _is_name(text: str) -> bool:
    try:
        return bool(domain_name("name", text))
    except FieldError:
        return False


def _client(context: Context, network: Network, text: str, address: Address) -> tuple[str, str | None]:
    """The MAC that a text says, or that of the guest that it names, and the guest's name; an IPv6 client by its
    DUID."""
    mac = text.lower().replace("-", ":")
    if is_mac(mac):
        if address.version == 6:
            raise FieldError("client", "a DHCPv6 client is known by its DUID, not by its MAC; or leave it to its name")
        owners = [one for one in guests_of(context.snapshot, network) if one.nic.mac.lower() == mac]
        return mac, owners[0].domain.raw_name if owners else None
    ones = [one for one in guests_of(context.snapshot, network) if one.domain.raw_name == text and text]
    if address.version == 6:
        return ("", text) if ones else (_duid(text), None)
    macs = list(dict.fromkeys(one.nic.mac.lower() for one in ones))
    if len(macs) > 1:
        raise FieldError("client", f"{text} has several NICs in it: {', '.join(macs)}")
    if not macs:
        raise FieldError("client", "must be the MAC of a NIC, or the name of a guest that is plugged in")
    return macs[0], text


def _duid(text: str) -> str:
    parts = text.split(":")
    if text and not (len(parts) > 2 and all(len(part) == 2 and _is_hex(part) for part in parts)):
        raise FieldError("client", "a DUID is written as 00:03:00:01:52:54:00:aa:bb:cc; empty: known by its name")
    return text.lower()


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)


def _index(network: Network, side: Side, address: Address) -> int:
    """The place of the `<ip>` in whose subnet the address lies. libvirt takes any, and the guest gets none then."""
    known = steps.subnets(side.config)
    for index, subnet in known.items():
        if address.version != subnet.version or address not in subnet:
            continue
        own = side.config.addresses[index].address
        if str(address) == own:
            raise FieldError("address", f"{address} is the network's own address")
        edge = address == subnet.network_address or (subnet.version == 4 and address == subnet.broadcast_address)
        if edge:
            raise FieldError("address", f"{address} is no address for a guest in {subnet}")
        return index
    there = ", ".join(map(str, known.values()))
    raise FieldError("address", f"{side.words} {address} is in no subnet of {network.name}: {there}")


def _refuse_same(network: Network, side: Side, wish: _Wish) -> None:
    for _at, host in _hosts(side):
        if host.address == str(wish.address):
            raise FieldError("address", f"{host.mac or host.name or host.duid} has {host.address} {side.words} already")
        if wish.client and wish.client in (host.mac.lower(), host.duid.lower()):
            raise TargetError("client", f"{wish.client} has {host.address} {side.words} already; take that away first")
        if wish.name and wish.name.lower() == host.name.lower():
            raise FieldError("name", f"{host.mac or host.duid} is called {host.name} in {network.name} already")


def _change(
    context: Context, network: Network, side: Side, command: str, index: int, xml: str, what: str
) -> Step:  # fmt: skip
    """Add or take away a host; undo does the opposite."""
    other = "delete" if command == "add-last" else "add-last"
    back = update_step(context, network, side, (other, _SECTION, index), xml, what)
    return replace(update_step(context, network, side, (command, _SECTION, index), xml, what), undo=(back,))


def update_step(
    context: Context, network: Network, side: Side, change: tuple[str, str, int], xml: str, what: str
) -> Step:
    """Return the step that adds or takes away one element; `change` is virsh's command and section and the place of
    its `<ip>`, -1 for none."""
    command, section, index = change
    it = named(network)
    words = ["net-update", it.word, command, section, xml]
    words += ["--parent-index", str(index)] if index >= 0 else []
    request = UpdateNetwork(network.key, side.live, command, section, index, xml)
    verb = "take" if command == "delete" else "give"
    ends = f"from {it.name}" if command == "delete" else f"to {it.name}"
    title = f"{verb} {what} {ends} {side.words}" if verb == "take" else f"add {what} {ends} {side.words}"
    return steps.network_step(context, it, title, (*words, side.option), request)


def _words(xml: str) -> str:
    host = ET.fromstring(xml)
    who = host.get("mac") or host.get("id") or host.get("name") or "?"
    return f"{host.get('ip', '?')} for {who}"


def _remove(context: Context, target: Target, values: Values) -> Sequence[Step]:
    network, word = as_network(target), values["host"].strip()
    wanted = sides(network, values)
    found = [(side, index, host) for side in wanted for index, host in _hosts(side) if _is_meant(host, word)]
    if not found:
        there = dict.fromkeys(host.address or host.mac for side in wanted for _at, host in _hosts(side))
        raise FieldError("host", f"no {word or 'host'} there; it has: {', '.join(there) or 'none'}")
    if len({host.address for _side, _at, host in found}) > 1:
        raise FieldError("host", f"several hosts are {word}; name one by its address")
    return [_change(context, network, side, "delete", index, host.xml, _words(host.xml)) for side, index, host in found]


def _is_meant(host: DhcpHost, word: str) -> bool:
    return bool(word) and word.lower() in {text.lower() for text in (host.address, host.mac, host.name, host.duid)}


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    network = as_network(target)
    wish = _wish(context, network, values)
    notes = []
    for lease in network.leases or ():
        if lease.mac == wish.client and lease.address != str(wish.address):
            notes.append(f"{wish.client} has {lease.address} by now: it changes when it asks again or is restarted")
        elif lease.address == str(wish.address) and lease.mac != wish.client:
            notes.append(f"{lease.mac} has {lease.address} by now, and keeps it until that lease ends")
    inside = any(
        wish.address.version == (6 if ip.ipv6 else 4) and _between(range_.first, wish.address, range_.last)
        for ip in network.config.addresses
        for range_ in ip.ranges
    )
    notes += [f"{wish.address} lies in the range of DHCP, which keeps it for this host from now on"] if inside else []
    return notes


def _between(first: str, address: Address, last: str) -> bool:
    try:
        return int(address_of("", first)) <= int(address) <= int(address_of("", last))
    except FieldError:
        return False


def _first_without(context: Context, targets: Sequence[Target]) -> Plugged | None:
    """The first running guest whose NIC has no static host yet."""
    if len(targets) != 1 or targets[0] is None:
        return None
    network = as_network(targets[0])
    taken = {host.mac.lower() for side in _both(network) for _at, host in _hosts(side)}
    ones = guests_of(context.snapshot, network)
    return next((one for one in ones if one.nic.mac.lower() not in taken), None)


def _proposed_client(context: Context, targets: Sequence[Target]) -> str:
    one = _first_without(context, targets)
    return "" if one is None else one.nic.mac.lower()


def _proposed_address(context: Context, targets: Sequence[Target]) -> str:
    """The address that it has now."""
    one = _first_without(context, targets)
    if one is None:
        return ""
    leases = as_network(targets[0]).leases or ()
    return next((lease.address for lease in leases if lease.mac == one.nic.mac.lower()), "")


def _proposed_host(_context: Context, targets: Sequence[Target]) -> str:
    if len(targets) != 1 or targets[0] is None:
        return ""
    return next((host.address for side in _both(as_network(targets[0])) for _at, host in _hosts(side)), "")


ADD = Action(
    "network.host-add", "Add a static DHCP host to", "static host", "f", Kind.NETWORK,
    "Give a guest always the same address by DHCP, live and persistent.", _add, _add_reason,
    (
        Field("client", "MAC or guest", FieldKind.TEXT, _proposed_client, help="of IPv6 its DUID; empty: by its name"),
        Field("address", "Address", FieldKind.TEXT, _proposed_address, help="in a subnet of the network"),
        Field("name", "Name", FieldKind.TEXT, help="that DNS knows it by; empty: that of the guest", optional=True),
        WHERE,
    ),
    bulk=False, reads=steps.READS, notes=_notes,
)  # fmt: skip
"""The action; it is one of the family networks."""

REMOVE = Action(
    "network.host-remove", "Take a static DHCP host from", "remove host", "F", Kind.NETWORK,
    "Let an address be given out by DHCP as any other, live and persistent.", _remove, _remove_reason,
    (Field("host", "Host", FieldKind.TEXT, _proposed_host, help="its address, MAC or name"), WHERE),
    bulk=False, reads=steps.READS,
)  # fmt: skip
"""The action; it is one of the family networks."""
