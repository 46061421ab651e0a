"""What the actions on networks share: the network, its word for virsh, the steps that others undo, who is in it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.actions.base import Context, FieldError, Reason, Target, TargetError, Values, choice
from tui.actions.define import kept_path
from tui.actions.pool_steps import Named, word_of
from tui.actions.pool_steps import pool_step as network_step
from tui.model.network import Network, NetworkConfig
from tui.model.network_guests import Plugged, of_network, plugged
from tui.model.network_xml import Subnet, subnet_of
from tui.model.plan import Step
from tui.model.virsh import virsh
from tui.ops import networks as ops

if TYPE_CHECKING:
    from tui.model.snapshot import HostSnapshot

__all__ = ["Named", "network_step"]

READS = ("networks", "links")

WHERE = choice(
    "where", "Where", ("both", "live", "persistent"),
    "live: the network as it runs; persistent: from its next start on; both: what of the two there is",
)  # fmt: skip
"""The field; its default is every side that there is."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def as_network(target: Target) -> Network:
    """Return `target` as the network that a network action is only ever called with; raises TypeError otherwise."""
    if not isinstance(target, Network):
        raise TypeError(f"not a network: {target!r}")
    return target


def all_networks(context: Context) -> Sequence[Network]:
    """Return the networks that are known."""
    networks = context.snapshot.networks
    return () if networks is None else list(networks.networks.values())


def named(network: Network) -> Named:
    """Return a network that is there, for steps."""
    return Named(network.key, network.name, word_of(network.raw_name, network.key))


def start_step(context: Context, network: Named) -> Step:
    """Start it; undo stops it, unless a running guest is in it by then."""
    words = ("net-start", network.word)
    undo = (stop_step(context, network),)
    return network_step(context, network, f"start {network.name}", words, ops.StartNetwork(network.key), undo)


def stop_step(
    context: Context, network: Named, undo: tuple[Step, ...] = (), *, loses: str | None = None, used: bool = False
) -> Step:
    """Stop it; while running guests are in it only when `used` says so, behind its typed name."""
    request = ops.DestroyNetwork(network.key, unused=not used)
    words = ("net-destroy", network.word)
    return network_step(context, network, f"stop {network.name}", words, request, undo, loses=loses, typed=used)


def autostart_step(context: Context, network: Named, on: bool, undo: tuple[Step, ...] = ()) -> Step:
    """Have it start with the host, or not."""
    words = ("net-autostart", network.word, *(() if on else ("--disable",)))
    title = f"autostart {network.name} {'on' if on else 'off'}"
    return network_step(context, network, title, words, ops.SetNetworkAutostart(network.key, on), undo)


def define_again_step(context: Context, network: Named, backup: str, title: str) -> Step:
    """Define it of XML that was kept."""
    request = ops.DefineNetwork(backup, validate=False)
    return Step(title, virsh(context.uri, "net-define", backup), request, network.key)


def undefine_step(context: Context, network: Named, undo: Sequence[Step] = (), *, loses: str | None = None) -> Step:
    """Undefine it; its XML is kept where the undo that is given may look for it."""
    kept = [step.request.path for step in undo if isinstance(step.request, ops.DefineNetwork)]
    request = ops.UndefineNetwork(network.key, kept[0] if kept else kept_path(context, network.name))
    words = ("net-undefine", network.word)
    return network_step(context, network, f"undefine {network.name}", words, request, tuple(undo), loses=loses)


def guests_of(snapshot: HostSnapshot, network: Network) -> tuple[Plugged, ...]:
    """Return the NICs in a network, running guests first."""
    return of_network(plugged(snapshot.domains.values()), network)


def domains_unread(snapshot: HostSnapshot) -> Reason:
    """Return why it is not known yet who is in a network, None when it is."""
    unread = snapshot.unread & {"domains", "configs"}
    return "the domains are not read yet, so who is plugged in is not known" if unread else None


def said(ones: Iterable[Plugged]) -> list[str]:
    """Return domains with the MACs of their NICs, in words."""
    found: dict[str, list[str]] = {}
    for one in ones:
        found.setdefault(one.domain.name, []).append(one.nic.mac)
    return [f"{name} ({', '.join(macs)})" for name, macs in found.items()]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a network, with the configuration that holds there now."""

    live: bool
    config: NetworkConfig

    @property
    def option(self) -> str:
        """virsh's word for it."""
        return "--live" if self.live else "--config"

    @property
    def words(self) -> str:
        """What a step's title says of it."""
        return "now" if self.live else "from its next start on"


def sides(network: Network, values: Values) -> list[Side]:
    """Return the sides that the field `where` means, live first; raises TargetError when it names one that is not
    there."""
    where = values["where"]
    found = []
    if where != "persistent" and network.active:
        found.append(Side(True, network.config))
    elif where == "live":
        raise TargetError("where", f"{network.name} is not active")
    if where != "live" and network.persistent_config is not None:
        found.append(Side(False, network.persistent_config))
    elif where == "persistent":
        raise TargetError("where", f"{network.name} is transient: it has no next start")
    return found


def address_of(field: str, text: str) -> Address:
    """Return an IP address; raises FieldError."""
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise FieldError(field, f"{text!r} is no IP address") from error


def subnets(config: NetworkConfig) -> Mapping[int, Subnet]:
    """Return the subnets of a network by the place of their `<ip>`."""
    found = {index: subnet_of(address) for index, address in enumerate(config.addresses)}
    return {index: subnet for index, subnet in found.items() if subnet is not None}
