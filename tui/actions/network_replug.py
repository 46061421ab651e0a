"""Plug the taps of running guests into their network's bridge again, after it was stopped and started under them."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions import network_steps as steps
from tui.actions.base import Action, Context, FieldError, Reason, Target, Values
from tui.actions.define import kept_path
from tui.actions.network_steps import Named, as_network, guests_of
from tui.model.kind import Kind
from tui.model.network import Network
from tui.model.network_guests import Plugged, orphans
from tui.model.network_new import NewNetwork
from tui.model.nic_xml import Plug, plug_of
from tui.model.plan import Step
from tui.model.virsh import domain_word, virsh
from tui.ops.networks import CreateNetwork, DestroyNetwork
from tui.ops.nics import ReplugNic

_TITLE = "Plug guests into"
# libvirt plugs a NIC in only when its bridge changes: so it goes to a network of its own for a moment, and back.
_AWAY = "virtdeck-replug"


def lost(context: Context, network: Network) -> tuple[Plugged, ...] | None:
    """Return the NICs whose tap has no bridge although the network is active; None: not known."""
    return orphans(context.snapshot, network, guests_of(context.snapshot, network))


def _reason(context: Context, target: Target) -> Reason:
    network = as_network(target)
    if not network.active:
        return "it is inactive; start it first"
    if unread := steps.domains_unread(context.snapshot):
        return unread
    found = lost(context, network)
    if found is None:
        return "whether the taps of its guests have a bridge is not known here"
    return None if found else "all its running guests are plugged in"


def _replug(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    network = as_network(target)
    found = lost(context, network)
    if not found:
        raise FieldError(_TITLE, f"all running guests of {network.name} are plugged in")
    return replug_steps(context, network, found)


def replug_steps(context: Context, network: Network, ones: Sequence[Plugged]) -> list[Step]:
    """Return the steps that plug running NICs into their active network again: into an empty network, and back."""
    if not ones:
        return []
    name = f"{_AWAY}-{network.key[:8]}"
    file = kept_path(context, name)
    away = Named(name, name, name)
    made = NewNetwork(name, "", "isolated").xml()
    found = []
    # One that broke off before left it there.
    if not any(other.active and other.raw_name == name for other in steps.all_networks(context)):
        found = [
            steps.network_step(context, _at(network, away), f"create {name}, a network without anything",
                               ("net-create", file, "--validate"), CreateNetwork(file, made))
        ]  # fmt: skip
    for one in ones:
        found += _there_and_back(context, network, one, name)
    gone = DestroyNetwork(name, unused=True)
    found.append(
        steps.network_step(context, _at(network, away), f"stop {name}, which is gone then", ("net-destroy", name), gone)
    )
    return found


def _at(network: Network, other: Named) -> Named:
    """Another network for a step that belongs to the steps of this one, and comes in their order."""
    return Named(network.key, other.name, other.word)


def _there_and_back(context: Context, network: Network, one: Plugged, away: str) -> list[Step]:
    nic, name = one.nic, one.domain.name
    home, out = plug_of(nic.xml), Plug("network", away).xml()
    titles = (f"move {nic.target} of {name} out of {network.name}", f"and plug it into {network.name} again")
    made = []
    for title, plug, was in zip(titles, (out, home), ("", out), strict=True):
        # Cancelled in between, the guest would stay where nobody is.
        file = kept_path(context, f"{one.domain.raw_name}-{nic.mac.replace(':', '')}")
        words = ("update-device", domain_word(one.domain), file, "--live")
        request = ReplugNic(one.domain.key, nic.mac.lower(), plug, was, file)
        made.append(Step(title, virsh(context.uri, *words), request, network.key, finishes=was != ""))
    return made


def _notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    name = as_network(target).name
    return (
        f"{name}: libvirt plugs a NIC in only when its network changes, so each goes to an empty one and back",
        f"{name}: the guests see no break of the link; their addresses stay, or come with the next DHCP request",
    )


ACTION = Action(
    "network.replug", _TITLE, "replug", "r", Kind.NETWORK,
    "Plug the taps of running guests into the network's bridge again, after it was stopped and started under them.",
    _replug, _reason, rank=11, reads=steps.READS, notes=_notes,
)  # fmt: skip
"""The action; it is one of the family networks."""
