"""Attach a NIC to a domain: where it is plugged in looked at before, its MAC proposed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values, choice
from tui.actions.define import kept_path
from tui.actions.disk_choice import UNREAD, known_sides
from tui.actions.lifecycle import as_domain, step
from tui.actions.nic_choice import PLUG_FIELDS, all_macs, find_network, plug_wish, said
from tui.actions.sides import WHERE, Side, sides
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.nic_xml import NewNic, free_mac, is_mac
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import domain_word
from tui.ops import nics as ops

_MODELS = ("virtio", "e1000e", "e1000", "rtl8139")
_PCI_ONLY = frozenset({"e1000", "rtl8139"})


def _reason(_context: Context, target: Target) -> Reason:
    return None if known_sides(as_domain(target)) else UNREAD


def _attach(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    wanted = sides(domain, values)
    nic = NewNic(plug_wish(context, wanted, values), values["model"], _mac(context, values["mac"].strip()))
    for side in wanted:
        _check_slot(domain, side, nic)
    file = kept_path(context, f"{domain.raw_name}-{nic.mac.replace(':', '')}")
    return [_step(context, domain, side, nic, file) for side in wanted]


def _mac(context: Context, text: str) -> str:
    taken = all_macs(context)
    if not text:
        return free_mac(taken)
    mac = text.lower().replace("-", ":")
    if not is_mac(mac):
        raise FieldError("mac", f"{text!r} is no MAC of one NIC, as 52:54:00:12:34:56")
    if mac in taken:
        raise FieldError("mac", f"{taken[mac]} has a NIC with this MAC")
    return mac


def _check_slot(domain: Domain, side: Side, nic: NewNic) -> None:
    if not side.live:
        return
    config = side.config
    other = "" if domain.persistent is False else ", or where: persistent"
    if nic.model in _PCI_ONLY and config.pcie_buses is not None:
        raise FieldError("model", f"{nic.model} needs a PCI slot, and this machine plugs PCIe; choose virtio{other}")
    if config.free_slots == 0:
        what = "PCI slot" if config.pcie_buses is None else "PCIe root port"
        way = "; X adds some for the next boot" if config.pcie_buses is not None and other else ""
        raise FieldError("where", f"now: no free {what}{way}{other}")


def _step(context: Context, domain: Domain, side: Side, nic: NewNic, file: str) -> Step:
    words = ["attach-device", domain_word(domain), file, side.option]
    request = ops.AttachNic(domain.key, side.live, nic.mac, nic.xml(), file)
    title = f"attach NIC {nic.mac} ({nic.model}, {clean(said(nic.plug))}) to {domain.name} {side.words}"
    # The XML of a NIC in an Open vSwitch or a macvtap says another type than that of its plug.
    back = detach_step(context, domain, side, nic.mac, file)
    return replace(step(context, domain, title, words, request), undo=(back,))


def detach_step(context: Context, domain: Domain, side: Side, mac: str, file: str) -> Step:
    """Return the step that takes the NIC of a MAC away; `file` holds its XML, of which libvirt looks at the MAC."""
    words = ["detach-device", domain_word(domain), file, side.option]
    request = ops.DetachNic(domain.key, side.live, mac)
    return step(context, domain, f"detach NIC {mac} from {domain.name} {side.words}", words, request)


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    wanted = sides(domain, values)
    notes = []
    if wanted[0].live and wanted[0].config.free_slots == 1:
        notes.append(f"{domain.name}: takes the last free slot")
    if not wanted[0].live and domain.active:
        notes.append(f"{domain.name}: its guest has it from the next boot on")
    network = find_network(context, values["source"].strip()) if values["to"] == "network" else None
    if network is not None and not network.active:
        notes.append(f"{domain.name}: does not start while the network {network.name} is inactive")
    if values["to"] == "macvtap":
        notes.append("over a macvtap the guest does not reach its own host")
    if values["to"] == "ovs" and context.snapshot.ovs is None:
        notes.append("whether there is such an Open vSwitch bridge is not known here")
    return notes


def _proposed_mac(context: Context, _targets: Sequence[Target]) -> str:
    return free_mac(all_macs(context))


ACTION = Action(
    "domain.nic-attach", "Attach a NIC to", "attach NIC", "E", Kind.DOMAIN,
    "Attach a NIC: to a network, a bridge, Open vSwitch, a macvtap, or QEMU's own NAT; live and persistent.", _attach,
    _reason,
    (
        *PLUG_FIELDS,
        choice("model", "Model", _MODELS),
        Field("mac", "MAC", FieldKind.TEXT, _proposed_mac, optional=True),
        WHERE,
    ),
    bulk=False, notes=_notes, reads=("networks", "links", "ovs"),
)  # fmt: skip
"""The action; it is one of the family nics."""
