"""Plug a NIC of a domain in elsewhere: another network, bridge, portgroup or VLAN, also while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui.actions.base import Action, Context, FieldError, Reason, Target, TargetError, Values
from tui.actions.define import kept_path
from tui.actions.lifecycle import as_domain, step
from tui.actions.nic_choice import NIC, PLUG_FIELDS, Chosen, chosen, find_network, has_nic, plug_wish, said
from tui.actions.sides import WHERE
from tui.model.domain import Domain
from tui.model.domain_config import Nic
from tui.model.kind import Kind
from tui.model.network import Network
from tui.model.nic_xml import Plug, plug_of, same_plug
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import domain_word
from tui.ops.nics import PlugNic

_BRIDGED, _OVS = "a Linux bridge", "Open vSwitch"
_KINDS = {"bridge": _BRIDGED, "ovs": _OVS, "macvtap": "a macvtap", "user": "QEMU's own NAT"}
_LATER = "detach it and attach another one, or where: persistent"


def _reason(context: Context, target: Target) -> Reason:
    return has_nic(context, target)


def _plug(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    found = chosen(domain, values)
    plug = plug_wish(context, [one.side for one in found], values)
    steps = []
    for one in found:
        before, wanted = plug_of(one.nic.xml), _switched(context, plug) if one.side.live else plug
        if same_plug(before, wanted.xml()):
            continue
        if one.side.live:
            _check_live(context, one.nic, plug)
        steps.append(_step(context, domain, one, wanted, before))
    if not steps:
        raise TargetError("source", f"{found[0].nic.mac} is plugged in there already")
    return steps


def _check_live(context: Context, nic: Nic, plug: Plug) -> None:
    """Raise FieldError for what libvirt cannot change in a running domain (qemuDomainChangeNet): it moves a tap from
    Linux bridge to Linux bridge, and changes the VLAN of a port of an Open vSwitch."""
    network = find_network(context, plug.source) if plug.to == "network" else None
    now, then = _kind_of(context, nic), _kind(plug, network)
    if now != then or now not in (_BRIDGED, _OVS):
        raise FieldError("where", f"a running guest's NIC does not go from {now} to {then}; {_LATER}")
    same = (nic.kind == "network", nic.raw_source) == (plug.to == "network", plug.source)
    if now == _OVS and not same:
        said = "in an Open vSwitch a running guest's NIC changes its VLAN, and stays in its bridge or network"
        raise FieldError("source", f"{said}; {_LATER}")


def _switched(context: Context, plug: Plug) -> Plug:
    """The same for a running NIC: in a network of Open vSwitch with its VLANs, which libvirt (9.0) would clear: it
    looks at those of the NIC, and not at those that the portgroup gives it."""
    network = find_network(context, plug.source) if plug.to == "network" else None
    if network is None or _kind_in(network) != _OVS:
        return plug
    config = network.config
    name = plug.portgroup or next((group.raw_name for group in config.portgroups if group.default), "")
    of_group = next((group.vlans for group in config.portgroups if group.raw_name == name), ())
    vlans = plug.vlans or of_group or config.vlans
    return replace(plug, vlans=vlans, switched=True)


def _kind(plug: Plug, network: Network | None) -> str:
    if plug.to == "network":
        return _BRIDGED if network is None else _kind_in(network)
    return _KINDS[plug.to]


def _kind_in(network: Network) -> str:
    return {"macvtap": _KINDS["macvtap"], "ovs": _OVS}.get(network.config.words, _BRIDGED)


def _kind_of(context: Context, nic: Nic) -> str:
    """What a running NIC is plugged into; of a network as the network is."""
    if nic.kind == "network":
        network = find_network(context, nic.raw_source)
        return _OVS if nic.virtualport == "openvswitch" else _BRIDGED if network is None else _kind_in(network)
    if nic.kind == "bridge":
        return _OVS if nic.virtualport == "openvswitch" else _BRIDGED
    return {"direct": _KINDS["macvtap"], "user": _KINDS["user"]}.get(nic.kind, nic.kind)


def _step(context: Context, domain: Domain, one: Chosen, plug: Plug, before: str) -> Step:
    back = _change(context, domain, one, before, plug.xml(), f"plug NIC {one.mac} of {domain.name} back")
    title = f"plug NIC {one.mac} of {domain.name} into {clean(said(plug))}"
    made = _change(context, domain, one, plug.xml(), before, title)
    loses = f"the connections that the guest has over {one.mac}" if one.side.live else None
    return replace(made, undo=(back,), loses=loses)


def _change(context: Context, domain: Domain, one: Chosen, plug: str, before: str, title: str) -> Step:
    file = kept_path(context, f"{domain.raw_name}-{one.mac.replace(':', '')}")
    words = ["update-device", domain_word(domain), file, one.side.option]
    request = PlugNic(domain.key, one.side.live, one.mac, plug, before, file)
    return step(context, domain, f"{title} {one.side.words}", words, request)


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    found = chosen(domain, values)
    nic = found[0].nic
    notes = [f"{domain.name}: {nic.mac} is in {' '.join(filter(None, (nic.kind, nic.source, nic.portgroup)))}"]
    if found[0].side.live:
        notes.append(
            f"{domain.name}: its guest sees no break of the link and keeps its address until it asks for another one; "
            "link down and up makes it ask"
        )
    return notes


ACTION = Action(
    "domain.nic-plug", "Plug a NIC elsewhere of", "move NIC", "T", Kind.DOMAIN,
    "Plug a NIC into another network, bridge, portgroup or VLAN, also while the guest runs.", _plug, _reason,
    (NIC, *PLUG_FIELDS, WHERE), bulk=False, notes=_notes, reads=("networks", "links", "ovs"),
)  # fmt: skip
"""The action; it is one of the family nics."""
