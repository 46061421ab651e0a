"""Plug the cable of a NIC in or out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from tui.actions.base import Action, Context, Reason, Target, TargetError, Values, choice
from tui.actions.define import kept_path
from tui.actions.lifecycle import as_domain, step
from tui.actions.nic_choice import NIC, Chosen, chosen, has_nic
from tui.actions.sides import WHERE
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.virsh import domain_word
from tui.ops.nics import SetNicLink


def _reason(context: Context, target: Target) -> Reason:
    return has_nic(context, target)


def _link(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    found = chosen(domain, values)
    up = values["state"] == "up" if values["state"] != "toggle" else not found[0].nic.link_up
    steps = [
        replace(_step(context, domain, one, up), undo=(_step(context, domain, one, not up),), loses=_loses(one, up))
        for one in found
        if one.nic.link_up is not up
    ]
    if not steps:
        raise TargetError("state", f"the link of {found[0].nic.mac} is {'up' if up else 'down'} already")
    return steps


def _loses(one: Chosen, up: bool) -> str | None:
    return None if up or not one.side.live else f"the connections that the guest has over {one.mac}, while it is down"


def _would_leave(one: Chosen) -> bool:
    """Whether domif-setlink would take it out of its libvirt network: of a network on a bridge of the host the running
    NIC is told as one of that bridge."""
    return one.side.live and one.nic.kind == "network" and ET.fromstring(one.nic.xml).get("type") != "network"


def _step(context: Context, domain: Domain, one: Chosen, up: bool) -> Step:
    state = "up" if up else "down"
    words = ["domif-setlink", domain_word(domain), one.mac, state, *([] if one.side.live else ["--config"])]
    file = ""
    if _would_leave(one):
        file = kept_path(context, f"{domain.raw_name}-{one.mac.replace(':', '')}")
        words = ["update-device", domain_word(domain), file, "--live"]
    request = SetNicLink(domain.key, one.side.live, one.mac, up, file)
    title = f"set the link of NIC {one.mac} of {domain.name} {state} {one.side.words}"
    return step(context, domain, title, words, request)


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    live = any(one.side.live for one in chosen(domain, values))
    return (f"{domain.name}: the guest sees its carrier go; the tap on the host stays up",) if live else ()


ACTION = Action(
    "domain.nic-link", "Link of a NIC of", "link", "K", Kind.DOMAIN,
    "Plug the cable of a NIC in or out, as the guest sees it, live and persistent.", _link, _reason,
    (NIC, choice("state", "Link", ("toggle", "up", "down")), WHERE), bulk=False, notes=_notes,
)  # fmt: skip
"""The action; it is one of the family nics."""
