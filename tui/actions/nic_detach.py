"""Take a NIC away from a domain, and watch until its guest has given it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from tui.actions.base import Action, Context, Reason, Target, Values
from tui.actions.define import kept_path
from tui.actions.lifecycle import as_domain, step
from tui.actions.nic_choice import NIC, Chosen, chosen, has_nic
from tui.actions.sides import WHERE, sides
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.nic_xml import plain
from tui.model.plan import Step
from tui.model.virsh import domain_word
from tui.ops import nics as ops


def _reason(context: Context, target: Target) -> Reason:
    return has_nic(context, target)


def _detach(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    return [_step(context, domain, one) for one in chosen(domain, values)]


def _step(context: Context, domain: Domain, one: Chosen) -> Step:
    side, xml = one.side, plain(one.nic.xml)
    file = kept_path(context, f"{domain.raw_name}-{one.mac.replace(':', '')}")
    back_words = ["attach-device", domain_word(domain), file, side.option]
    back_request = ops.AttachNic(domain.key, side.live, one.mac, xml, file)
    back = step(context, domain, f"attach NIC {one.mac} to {domain.name} again {side.words}", back_words, back_request)
    kind = ET.fromstring(one.nic.xml).get("type", "")
    words = ["detach-interface", domain_word(domain), kind, "--mac", one.mac, side.option]
    request = ops.DetachNic(domain.key, side.live, one.mac)
    title = f"detach NIC {one.mac} from {domain.name} {side.words}"
    loses = f"the connections that the guest has over {one.mac}" if side.live else None
    return replace(step(context, domain, title, words, request), undo=(back,), loses=loses)


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    found = chosen(domain, values)
    nic = found[0].nic
    notes = [f"{domain.name}: {nic.mac} is in {' '.join(filter(None, (nic.kind, nic.source)))}"]
    if any("<boot " in one.nic.xml for one in found):
        notes.append(f"{domain.name}: undo does not bring back the place of {nic.mac} in the boot order")
    if len(found) < len(sides(domain, values)):
        lacks = "persistent configuration" if found[0].side.live else "running guest"
        notes.append(f"{domain.name}: its {lacks} does not have it")
    return notes


ACTION = Action(
    "domain.nic-detach", "Detach a NIC from", "detach NIC", "", Kind.DOMAIN,
    "Take a NIC away; watched until the guest has given it up.", _detach, _reason, (NIC, WHERE), bulk=False,
    notes=_notes,
)  # fmt: skip
"""The action; it is one of the family nics."""
