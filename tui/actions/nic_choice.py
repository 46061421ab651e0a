"""Which NIC of a domain a word means, on each of its sides; and what a NIC is to be plugged into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.actions.base import Context, Field, FieldError, FieldKind, Reason, Target, Values, choice
from tui.actions.disk_choice import UNREAD, known_sides
from tui.actions.lifecycle import as_domain
from tui.actions.network_form import DIRECT_MODES, link_name, vlans_of
from tui.actions.network_steps import all_networks
from tui.actions.sides import Side, sides
from tui.model.domain import Domain
from tui.model.domain_config import Nic
from tui.model.network import Network
from tui.model.nic_xml import PLUGS, Plug

NONE = "it has no NICs"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A NIC on one side."""

    side: Side
    nic: Nic

    @property
    def mac(self) -> str:
        """Its MAC in lower case, as requests have it."""
        return self.nic.mac.lower()


def chosen(domain: Domain, values: Values) -> list[Chosen]:
    """Return the NIC that the field `nic` names by its MAC or its tap, on each wanted side that has it; raises
    FieldError when none has, or two NICs of a side have this MAC."""
    wanted, word = sides(domain, values), values["nic"].strip().lower()
    taps = {nic.target.lower(): nic.mac.lower() for side in known_sides(domain) for nic in side.nics if nic.target}
    mac = taps.get(word, word)
    found = [Chosen(side, nic) for side in wanted for nic in side.config.nics if nic.mac.lower() == mac]
    if not found:
        there = dict.fromkeys(nic.mac for side in wanted for nic in side.config.nics)
        raise FieldError("nic", f"no {word or 'NIC'} there; it has: {', '.join(there) or 'none'}")
    if len({one.side.live for one in found}) < len(found):
        raise FieldError("nic", f"two of its NICs have the MAC {mac}; libvirt cannot tell them apart")
    return found


def _proposed(_context: Context, targets: Sequence[Target]) -> str:
    if len(targets) != 1 or targets[0] is None:
        return ""
    return next((nic.mac for side in known_sides(as_domain(targets[0])) for nic in side.nics), "")


NIC = Field("nic", "NIC", FieldKind.TEXT, _proposed, help="its MAC, or its tap, as vnet0")
"""The field; the first NIC is proposed."""


def has_nic(_context: Context, target: Target) -> Reason:
    """Return why there is nothing to choose from; None when there is."""
    there = known_sides(as_domain(target))
    if not there:
        return UNREAD
    return None if any(side.nics for side in there) else NONE


# What it is plugged into


def _proposed_source(context: Context, _targets: Sequence[Target]) -> str:
    """The first active network, `default` before all others."""
    active = [network for network in all_networks(context) if network.active]
    named = sorted(active, key=lambda network: (network.raw_name != "default", network.name))
    return named[0].name if named and named[0].name == named[0].raw_name else ""


TO = choice(
    "to", "To", PLUGS,
    "a libvirt network; a bridge of the host; an Open vSwitch bridge; a link that is shared; QEMU's own NAT",
)  # fmt: skip
SOURCE = Field("source", "Name", FieldKind.TEXT, _proposed_source, help="of the network, bridge or link", optional=True)
PORTGROUP = Field("portgroup", "Portgroup", FieldKind.TEXT, help="of the network; empty: its default", optional=True)
VLAN = Field("vlan", "VLAN", FieldKind.TEXT, help="on Open vSwitch: a number, or several for a trunk", optional=True)
MODE = choice("mode", "macvtap mode", DIRECT_MODES)

PLUG_FIELDS = (TO, SOURCE, PORTGROUP, VLAN, MODE)
"""What says where a NIC is plugged in."""


def plug_wish(context: Context, wanted: Sequence[Side], values: Values) -> Plug:
    """Return where the fields say that a NIC is to be plugged in on these sides; raises FieldError."""
    to, source = values["to"], values["source"].strip()
    group, vlans = values["portgroup"].strip(), vlans_of("vlan", values["vlan"])
    if to == "user":
        source = ""
    elif not source:
        raise FieldError("source", f"give the {'link' if to == 'macvtap' else to if to != 'ovs' else 'bridge'}")
    if group and to != "network":
        raise FieldError("portgroup", "only a libvirt network has portgroups; leave it empty")
    if vlans and to not in ("ovs", "network"):
        raise FieldError("vlan", "VLANs are tagged by Open vSwitch alone; leave it empty")
    if to != "macvtap" and values["mode"] != DIRECT_MODES[0]:
        raise FieldError("mode", "only a macvtap has a mode; leave it at bridge")
    if to == "network":
        _check_network(context, wanted, source, group, vlans)
    elif to != "user":
        _check_link(context, to, link_name("source", source))
    return Plug(to, source, group, vlans, values["mode"])


def _check_network(context: Context, wanted: Sequence[Side], source: str, group: str, vlans: tuple[int, ...]) -> None:
    network = find_network(context, source)
    if network is None:
        if context.snapshot.networks is None:
            return
        there = ", ".join(sorted(network.name for network in all_networks(context)))
        raise FieldError("source", f"no network {source}; there are: {there or 'none'}")
    if any(side.live for side in wanted) and not network.active:
        raise FieldError("source", f"the network {network.name} is inactive; start it first, or where: persistent")
    config = network.config
    if group and group not in {known.raw_name for known in config.portgroups}:
        there = ", ".join(known.name for known in config.portgroups)
        raise FieldError("portgroup", f"{network.name} has: {there or 'none'}")
    if vlans and config.virtualport != "openvswitch":
        raise FieldError("vlan", f"{network.name} is no Open vSwitch network; leave it empty")


def find_network(context: Context, raw_name: str) -> Network | None:
    """Return the network of that name; None when there is none or they are not read."""
    networks = context.snapshot.networks
    return None if networks is None else networks.named(raw_name)


def _check_link(context: Context, to: str, source: str) -> None:
    """Raise FieldError when it is known that there is no such bridge or link: libvirt would find out at the start."""
    snapshot = context.snapshot
    if to == "ovs":
        if snapshot.ovs is not None and source not in {bridge.raw_name for bridge in snapshot.ovs.bridges}:
            raise FieldError("source", f"Open vSwitch has no bridge {source}")
        return
    if snapshot.links is None:
        return
    kinds = {link.kind for link in snapshot.links.links.values() if link.raw_name == source}
    if not kinds:
        raise FieldError("source", f"the host has no link {source}")
    if to == "bridge" and "bridge" not in kinds:
        raise FieldError("source", f"{source} is no bridge but of kind {', '.join(sorted(kinds))}")


def said(plug: Plug) -> str:
    """Return where it is, in words."""
    where = {"ovs": "Open vSwitch bridge", "macvtap": "a macvtap on", "user": "QEMU's own NAT"}.get(plug.to, plug.to)
    more = [f"portgroup {plug.portgroup}"] if plug.portgroup else []
    more += [f"VLAN {','.join(map(str, plug.vlans))}"] if plug.vlans else []
    return " ".join(filter(None, (where, plug.source, *more)))


def all_macs(context: Context) -> dict[str, str]:
    """Return all MACs of NICs, in lower case, and whose they are."""
    return {
        nic.mac.lower(): domain.name
        for domain in context.snapshot.domains.values()
        for side in known_sides(domain)
        for nic in side.nics
    }
