"""What is right and wrong with the bridges and ports of Open vSwitch: tags, trunks, what is down, and its own word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.finding import Fact, Hop, Layer
from tui.model.route import FlowQuestion
from tui.topology.trace_facts import broken, good, mend, unknown
from tui.topology.wiring import OVS

if TYPE_CHECKING:
    from tui.model.ovs import OvsBridge, OvsInterface, OvsPort
    from tui.topology.trace_legs import Leg
    from tui.topology.trace_scene import Flow, Scene

_DATABASE = "OVSDB"
_ANYBODY = "ff:ff:ff:ff:ff:ff"


def port_facts(scene: Scene, leg: Leg, at: int) -> list[Fact]:
    """Return what Open vSwitch says of the port at a place of the leg; nothing of what is none."""
    found = scene.wiring.ovs_ports.get(leg.nodes[at])
    if found is None:
        return []
    bridge, port, interface = found
    facts = [_state(interface), *_tags(scene, leg, at, port)]
    return [good(f"port of {bridge.name}{_tag_words(port)}", _DATABASE), *facts]


def port_hop(scene: Scene, leg: Leg, at: int) -> Hop:
    """Return the hop of a port that no link of the host stands for: patch, tunnel, or in userspace."""
    _, port, interface = scene.wiring.ovs_ports[leg.nodes[at]]
    kind = "port" if interface.kind in ("patch", "", "system") else "uplink"
    return Hop(kind, interface.name, _netns(scene), port.key, tuple(port_facts(scene, leg, at)))


def bridge_hop(scene: Scene, leg: Leg, at: int, flow: Flow, *, first: bool) -> Hop:
    """Return the hop of a bridge; where the frame is the guest's own, Open vSwitch is asked what it does with it."""
    bridge = scene.wiring.ovs_bridges[leg.nodes[at]]
    facts = [good(f"Open vSwitch, {bridge.datapath or 'system'} datapath", _DATABASE)]
    if bridge.fail_mode == "secure" and not bridge.controllers:
        facts.append(good("fails secure: without flows it passes nothing on", _DATABASE))
    facts += _asked(scene, leg, at, flow, bridge) if first else []
    return Hop("bridge", bridge.name, _netns(scene), bridge.key, tuple(facts))


def _netns(scene: Scene) -> str:
    ovs = scene.snapshot.ovs
    return scene.wiring.netns_name(ovs.netns or scene.wiring.home) if ovs is not None else ""


def _state(interface: OvsInterface) -> Fact:
    if interface.error:
        words = f"Open vSwitch cannot use it: {interface.error}"
        return broken(words, "Interface.error", "ovs-error", Layer.L2)
    if interface.admin_up is False:
        remedy = mend(f"set {interface.name} up", "ip", "link", "set", interface.raw_name, "up")
        return broken(f"{interface.name} is set down", "Interface.admin_state", "link-down", Layer.ADMIN, remedy)
    if interface.up is False:
        return broken(f"{interface.name} has no carrier", "Interface.link_state", "no-carrier", Layer.CARRIER)
    return good("is up", "Interface.link_state")


def _tag_words(port: OvsPort) -> str:
    if port.tag is not None:
        return f", tag {port.tag}"
    return f", trunks {','.join(map(str, port.trunks))}" if port.trunks else ""


def _tags(scene: Scene, leg: Leg, at: int, port: OvsPort) -> list[Fact]:
    """Compare with the port that the frame first came in by; what tags a trunk's frames have is not known."""
    nodes = leg.nodes
    entries = [found[1] for node in nodes[:at] if (found := scene.wiring.ovs_ports.get(node)) is not None]
    if at < 1 or not nodes[at - 1].startswith(OVS) or not entries or (entries[0].tag is None and entries[0].trunks):
        return []
    before = entries[0]
    vlan = before.tag or 0
    if _carries(port, vlan, untagged=at == len(nodes) - 1 and not scene.wiring.leads_out(nodes[at])):
        return []
    words = f"carries no VLAN {vlan}, which {before.name} is in"
    words = words if vlan else f"carries no untagged frames, as {before.name} has"
    remedy = mend("give both ports the same tag", "ovs-vsctl", "set", "port", port.raw_name, f"tag={vlan}")
    return [broken(words, "Port.tag", "ovs-tag-mismatch", Layer.L2, remedy)]


def _carries(port: OvsPort, vlan: int, *, untagged: bool) -> bool:
    """Whether frames of a VLAN leave by a port, and without a tag where somebody is behind it who knows of none."""
    if untagged and port.tag is None:
        return vlan == 0
    if port.tag is not None and port.vlan_mode in ("", "access"):
        return port.tag == vlan
    native = port.tag is not None and port.tag == vlan
    return native or not port.trunks or vlan in port.trunks


def _asked(scene: Scene, leg: Leg, at: int, flow: Flow, bridge: OvsBridge) -> list[Fact]:
    before = scene.wiring.ovs_ports.get(leg.nodes[at - 1]) if at > 0 else None
    if before is None or not flow.mac or before[2].kind == "patch":
        return []
    question = FlowQuestion(bridge.raw_name, before[2].raw_name, flow.mac, _ANYBODY)
    answer = scene.flow(question)
    source = "ovs-appctl ofproto/trace"
    if answer is None:
        return [unknown("Open vSwitch was not asked", source)]
    if answer.problem:
        return [unknown(f"Open vSwitch could not be asked: {answer.problem}", source)]
    if answer.actions == "drop":
        remedy = mend("see which flow drops it", "ovs-ofctl", "dump-flows", bridge.raw_name)
        return [broken("its flows drop the guest's ARP requests", source, "ovs-drop", Layer.FILTER, remedy)]
    return [good(f"passes the guest's ARP requests on: {answer.actions}", source)]
