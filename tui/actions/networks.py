"""libvirt's networks: started, stopped, undefined, with the host or not; the other actions on them are files of
their own."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions import network_steps as steps
from tui.actions.base import Action, Context, Reason, Target, Values, choice
from tui.actions.define import kept_path
from tui.actions.network_define import CREATE, DEFINE
from tui.actions.network_dhcp import ADD as ADD_HOST
from tui.actions.network_dhcp import REMOVE as REMOVE_HOST
from tui.actions.network_dns import ADD as ADD_NAME
from tui.actions.network_dns import REMOVE as REMOVE_NAME
from tui.actions.network_edit import ACTION as EDIT
from tui.actions.network_replug import ACTION as REPLUG
from tui.actions.network_replug import replug_steps
from tui.actions.network_steps import as_network, guests_of, named
from tui.actions.pool_steps import listed
from tui.model.kind import Kind
from tui.model.network import Network
from tui.model.network_new import OWN_BRIDGE
from tui.model.plan import Step
from tui.ops import networks as ops


def _start_reason(_context: Context, target: Target) -> Reason:
    return "it is active already" if as_network(target).active else None


def _start(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    return [steps.start_step(context, named(as_network(target)))]


def _stop_reason(context: Context, target: Target) -> Reason:
    return steps.domains_unread(context.snapshot) if as_network(target).active else "it is inactive"


def _stop(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    """Stop it. Who is plugged in stays so in its own view, but its tap belongs to no bridge any more."""
    network = as_network(target)
    running = [one for one in guests_of(context.snapshot, network) if one.live]
    parts = [] if network.persistent else ["the network itself: it is transient"]
    parts += [f"the network of running guests: {listed(steps.said(running))}"] if running else []
    undo: tuple[Step, ...] = ()
    if network.persistent:
        taps = [one for one in running if one.nic.raw_target and _loses_bridge(network)]
        undo = (_start_again(context, network), *replug_steps(context, network, taps))
    return [
        steps.stop_step(context, named(network), undo, loses="; ".join(parts) or None, used=bool(running)),
    ]


def _loses_bridge(network: Network) -> bool:
    """Whether libvirt takes the bridge away from under its guests; one of the host stays, and so do its ports."""
    return network.config.words in OWN_BRIDGE


def _start_again(context: Context, network: Network) -> Step:
    """Start it as it was before; where that is undone in turn, nothing more is offered than libvirt's own stop."""
    it = named(network)
    return steps.network_step(context, it, f"start {it.name}", ("net-start", it.word), ops.StartNetwork(it.key))


def _stop_notes(context: Context, target: Target, _values: Values) -> Sequence[str]:
    network = as_network(target)
    guests = guests_of(context.snapshot, network)
    notes = []
    if any(one.live for one in guests) and _loses_bridge(network):
        notes.append(
            f"{network.name}: the taps of running guests stay without a bridge, also when it is started again, until r "
            "plugs them in again; undo does both"
        )
    others = [one for one in guests if not one.live]
    if others:
        notes.append(f"{network.name}: named by {listed(steps.said(others))}, which do not start without it")
    return notes


def _autostart_reason(_context: Context, target: Target) -> Reason:
    return None if as_network(target).persistent else "it is transient: libvirt forgets it when it stops"


def _autostart(context: Context, target: Target, values: Values) -> Sequence[Step]:
    network = as_network(target)
    on = values["on"] == "on" if values["on"] != "toggle" else not network.autostart
    undo = (steps.autostart_step(context, named(network), network.autostart),)
    return [steps.autostart_step(context, named(network), on, undo)]


def _undefine_reason(context: Context, target: Target) -> Reason:
    if not as_network(target).persistent:
        return "it is transient: it has no persistent configuration"
    return steps.domains_unread(context.snapshot)


def _undefine(context: Context, target: Target, _values: Values) -> Sequence[Step]:
    network = as_network(target)
    it, backup = named(network), kept_path(context, network.raw_name)
    undo = [steps.define_again_step(context, it, backup, f"define {it.name} again")]
    undo += [steps.autostart_step(context, it, True)] if network.autostart else []
    return [steps.undefine_step(context, it, undo, loses="the configuration (its XML is kept for undo)")]


def _undefine_notes(context: Context, target: Target, _values: Values) -> Sequence[str]:
    network = as_network(target)
    notes = []
    if network.active:
        notes.append(f"{network.name} goes on running, as a transient network that is gone when it stops")
    if guests := guests_of(context.snapshot, network):
        notes.append(f"{network.name}: named by {listed(steps.said(guests))}, which do not start without it")
    return notes


ACTIONS: tuple[Action, ...] = (
    Action(
        "network.start", "Start", "start", "s", Kind.NETWORK, "Start the network.", _start, _start_reason, rank=10,
        reads=steps.READS,
    ),
    Action(
        "network.destroy", "Stop", "stop", "x", Kind.NETWORK,
        "Stop the network. Its name is asked for while running guests are plugged into it: they lose it.", _stop,
        _stop_reason, rank=12, reads=steps.READS, notes=_stop_notes,
    ),
    REPLUG,
    Action(
        "network.autostart", "Autostart", "autostart", "a", Kind.NETWORK, "Start the network with the host, or not.",
        _autostart, _autostart_reason, (choice("on", "Autostart", ("toggle", "on", "off")),), reads=steps.READS,
    ),
    EDIT,
    ADD_HOST,
    REMOVE_HOST,
    ADD_NAME,
    REMOVE_NAME,
    Action(
        "network.undefine", "Undefine", "undefine", "D", Kind.NETWORK,
        "Remove the configuration of the network; one that is active runs on until it stops.", _undefine,
        _undefine_reason, reads=steps.READS, notes=_undefine_notes,
    ),
    DEFINE,
    CREATE,
)  # fmt: skip
