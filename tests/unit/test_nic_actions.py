"""Actions on NICs of domains: which NIC is meant, what they plan, what they refuse, on no host at all."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, make_plan
from tui.model.domain import Domain, DomainState
from tui.model.domain_xml import differences, parse_domain_xml
from tui.model.host import Connection, ConnectionState
from tui.model.link import Link, Links, Netns, NetnsKind
from tui.model.network import Network, Networks
from tui.model.network_xml import parse_network_xml
from tui.model.nic_xml import NewNic, Plug
from tui.model.ovs import Ovs, OvsBridge
from tui.model.plan import Confirm, Plan, Step
from tui.model.snapshot import HostSnapshot
from tui.ops.nics import AttachNic, PlugNic, SetNicLimits

UUID = "6a9dbb1e-8a50-4bb2-9c2b-6f9f4b6f3c11"
MAC, OTHER, NEW = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"


def nic(plug: Plug, mac: str = MAC, extra: str = "") -> str:
    """A NIC as libvirt tells of it."""
    made = ET.fromstring(NewNic(plug, "virtio", mac).xml())
    made.extend(ET.fromstring(f"<x>{extra}</x>"))
    return ET.tostring(made, encoding="unicode")


ONE = nic(Plug("network", "one"))
LIVE = nic(Plug("network", "one"), extra="<target dev='vnet0'/>").replace(
    'network="one"', 'network="one" portid="x" bridge="br1"'
)


def domain(
    name: str, live: tuple[str, ...] | None, later: tuple[str, ...] | None, key: str = UUID, machine: str = "pc"
) -> Domain:
    """A domain with these NICs on each side; None: it has no such side."""

    def config(nics: tuple[str, ...]) -> str:
        root = ET.Element("domain", type="kvm")
        ET.SubElement(ET.SubElement(root, "os"), "type", arch="x86_64", machine=machine).text = "hvm"
        devices = ET.SubElement(root, "devices")
        model = "pcie-root" if machine == "q35" else "pci-root"
        ET.SubElement(devices, "controller", type="pci", index="0", model=model)
        devices.extend(ET.fromstring(text) for text in nics)
        return ET.tostring(root, encoding="unicode")

    now = None if live is None else parse_domain_xml(config(live))
    then = None if later is None else parse_domain_xml(config(later))
    state = DomainState.RUNNING if now else DomainState.SHUTOFF
    return Domain(key, name, name, 1 if now else None, state, "", later is not None, config=now or then,
                  persistent_config=then)  # fmt: skip


def network(name: str, inner: str, *, active: bool = True) -> Network:
    """A network of that XML."""
    xml = f"<network><name>{name}</name>{inner}</network>"
    return Network(f"u-{name}", name, name, active, False, True, parse_network_xml(xml), parse_network_xml(xml))


_OVS = "<forward mode='bridge'/><bridge name='ovs0'/><virtualport type='openvswitch'/><portgroup name='lan'/>"
NETWORKS = (
    network("one", "<bridge name='br1'/>"),
    network("two", "<bridge name='br2'/>"),
    network("idle", "<bridge name='br3'/>", active=False),
    network("switch", _OVS),
    network("shared", "<forward mode='bridge'><interface dev='eth0'/></forward>"),
)


def links(*names: tuple[str, str]) -> Links:
    """A host with these links, by name and kind."""
    found = {
        f"1:{number}": Link(f"1:{number}", "1", number, name, name, kind, "", 1500, True, True, "up")
        for number, (name, kind) in enumerate(names)
    }
    return Links({"1": Netns("1", "host", "", NetnsKind.HOME)}, found, 0)


def context(*domains: Domain, known: Links | None = None, ovs: Ovs | None = None) -> Context:
    """A host with these domains and NETWORKS."""
    connection = Connection("qemu:///system", ConnectionState.LIVE, 0, read_only=False)
    networks = Networks({found.key: found for found in NETWORKS})
    there = {found.key: found for found in domains}
    seen = HostSnapshot(0, 0, connection, domains=there, networks=networks, links=known, ovs=ovs)
    return Context(seen, Path("/kept"))


def plan(where: Context, action: str, target: Domain, /, **values: str) -> Plan:
    """The plan of an action on one domain."""
    return make_plan(BY_ID[f"domain.{action}"], where, [target], values)


def refused(where: Context, action: str, target: Domain, /, **values: str) -> str:
    with pytest.raises(FieldError) as caught:
        plan(where, action, target, **values)
    return str(caught.value)


def words(steps: tuple[Step, ...]) -> list[str]:
    """The commands behind `virsh -c URI`."""
    return [" ".join(step.command[3:]) for step in steps]


WEB = domain("web", (LIVE,), (ONE,))
OFF = domain("off", None, (nic(Plug("network", "two"), OTHER),), "2")


# Attach


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": ""}, "source: give the network"),
        ({"to": "macvtap", "source": ""}, "source: give the link"),
        ({"to": "ovs", "source": ""}, "source: give the bridge"),
        ({"source": "none"}, "source: no network none; there are: idle, one, shared, switch, two"),
        ({"source": "idle"}, "source: the network idle is inactive; start it first, or where: persistent"),
        ({"portgroup": "x"}, "portgroup: one has: none"),
        ({"source": "switch", "portgroup": "x"}, "portgroup: switch has: lan"),
        ({"vlan": "5"}, "vlan: one is no Open vSwitch network; leave it empty"),
        ({"to": "bridge", "source": "br1", "vlan": "5"}, "vlan: VLANs are tagged by Open vSwitch alone"),
        ({"to": "ovs", "source": "o", "vlan": "0"}, "vlan: a VLAN is a number from 1 to 4094, not '0'"),
        ({"to": "bridge", "source": "br1", "portgroup": "x"}, "portgroup: only a libvirt network has portgroups"),
        ({"to": "bridge", "source": "a b"}, "source: the name of a link has 1 to 15 characters"),
        ({"mode": "vepa"}, "mode: only a macvtap has a mode"),
        ({"mac": "x"}, "mac: 'x' is no MAC of one NIC"),
        ({"mac": "01:00:5e:00:00:01"}, "mac: '01:00:5e:00:00:01' is no MAC of one NIC"),
        ({"mac": OTHER.upper()}, "mac: off has a NIC with this MAC"),
        ({"model": "virtio", "where": "nowhere"}, "where: must be one of"),
    ],
)
def test_what_an_attach_refuses(values: dict[str, str], said: str) -> None:
    assert said in refused(context(WEB, OFF), "nic-attach", WEB, **{"source": "one", **values})


def test_what_the_host_does_not_have_is_refused_where_it_is_known() -> None:
    known = links(("br0", "bridge"), ("eth0", "ethernet"))
    where = context(WEB, known=known, ovs=Ovs((), 0))
    assert "source: the host has no link br9" in refused(where, "nic-attach", WEB, to="bridge", source="br9")
    assert "source: eth0 is no bridge but of kind ethernet" in refused(
        where, "nic-attach", WEB, to="bridge", source="eth0"
    )
    assert "source: Open vSwitch has no bridge br0" in refused(where, "nic-attach", WEB, to="ovs", source="br0")
    plan(where, "nic-attach", WEB, to="macvtap", source="eth0")
    with_ovs = context(WEB, ovs=Ovs((OvsBridge("b", "br0", "br0", ()),), 0))
    plan(with_ovs, "nic-attach", WEB, to="ovs", source="br0", vlan="10")


def test_both_sides_get_the_same_nic_and_undo_takes_it_from_both() -> None:
    made = plan(context(WEB), "nic-attach", WEB, source="two", mac=NEW)
    first, second = (step.request for step in made.steps)
    assert isinstance(first, AttachNic)
    assert isinstance(second, AttachNic)
    assert (first.live, second.live, first.xml, first.file) == (True, False, second.xml, second.file)
    assert [line.split()[0] for line in words(made.undo_steps())] == ["detach-device", "detach-device"]
    assert made.confirm is Confirm.NONE


def test_without_a_mac_one_is_made_up_that_nobody_has() -> None:
    made = plan(context(WEB, OFF), "nic-attach", WEB, source="two", mac="")
    request = made.steps[0].request
    assert isinstance(request, AttachNic)
    assert request.mac.startswith("52:54:00:")
    assert request.mac not in (MAC, OTHER)


def test_a_running_guest_needs_a_free_slot_of_the_right_kind() -> None:
    tight = domain("tight", (), (), machine="q35")
    assert "where: now: no free PCIe root port; X adds some for the next boot, or where: persistent" in refused(
        context(tight), "nic-attach", tight, source="one"
    )
    assert "model: e1000 needs a PCI slot, and this machine plugs PCIe; choose virtio, or where: persistent" in refused(
        context(tight), "nic-attach", tight, source="one", model="e1000"
    )
    assert len(plan(context(tight), "nic-attach", tight, source="one", where="persistent").steps) == 1


# Which one


def test_a_nic_is_named_by_its_mac_or_its_tap() -> None:
    where = context(WEB)
    by_tap = plan(where, "nic-detach", WEB, nic="vnet0")
    assert words(by_tap.steps) == [
        f"detach-interface web network --mac {MAC} {side}" for side in ("--live", "--config")
    ]
    assert f"nic: no {NEW} there; it has: {MAC}" in refused(where, "nic-detach", WEB, nic=NEW)
    twice = domain("twice", None, (ONE, ONE))
    assert "two of its NICs have the MAC" in refused(context(twice), "nic-link", twice, nic=MAC)
    bare = domain("bare", None, ())
    assert BY_ID["domain.nic-detach"].reason(context(bare), bare) == "it has no NICs"


def test_a_detach_asks_and_comes_back_as_it_was() -> None:
    made = plan(context(WEB), "nic-detach", WEB, nic=MAC)
    assert (made.confirm, made.losses()) == (Confirm.ASK, [f"the connections that the guest has over {MAC}"])
    back = made.undo_steps()[-1].request
    assert isinstance(back, AttachNic)
    assert "portid" not in back.xml
    assert "vnet0" not in back.xml


# Plugged in elsewhere


@pytest.mark.parametrize(
    ("now", "values", "said"),
    [
        (LIVE, {"source": "one"}, "is plugged in there already"),
        (LIVE, {"source": "switch"}, "does not go from a Linux bridge to Open vSwitch"),
        (LIVE, {"source": "shared"}, "does not go from a Linux bridge to a macvtap"),
        (LIVE, {"to": "user", "source": ""}, "does not go from a Linux bridge to QEMU's own NAT"),
        (nic(Plug("ovs", "o")), {"source": "two"}, "does not go from Open vSwitch to a Linux bridge"),
        (nic(Plug("ovs", "o")), {"to": "ovs", "source": "p"}, "changes its VLAN, and stays in its bridge or network"),
        (nic(Plug("macvtap", "e")), {"to": "macvtap", "source": "f"}, "does not go from a macvtap to a macvtap"),
        (nic(Plug("user")), {"source": "two"}, "does not go from QEMU's own NAT to a Linux bridge"),
    ],
)
def test_what_a_running_nic_cannot_do_is_said(now: str, values: dict[str, str], said: str) -> None:
    it = domain("it", (now,), None)
    assert said in refused(context(it), "nic-plug", it, **{"nic": MAC, **values})


def test_from_bridge_to_bridge_and_from_vlan_to_vlan_it_goes() -> None:
    made = plan(context(WEB), "nic-plug", WEB, nic=MAC, to="bridge", source="br9")
    first, back = made.steps[0].request, made.steps[0].undo[0].request
    assert isinstance(first, PlugNic)
    assert isinstance(back, PlugNic)
    assert (back.plug, back.was) == (first.was, first.plug)
    assert back.plug == '<interface type="network"><source network="one" /></interface>'
    tagged = domain("tagged", (nic(Plug("ovs", "o", vlans=(5,))),), None)
    assert len(plan(context(tagged), "nic-plug", tagged, nic=MAC, to="ovs", source="o", vlan="6").steps) == 1


def test_a_side_that_is_there_already_is_left_alone() -> None:
    apart = domain("apart", (LIVE,), (nic(Plug("network", "two")),))
    made = plan(context(apart), "nic-plug", apart, nic=MAC, source="two")
    assert [step.request.live for step in made.steps if isinstance(step.request, PlugNic)] == [True]


def test_a_plug_that_was_changed_meanwhile_is_not_undone() -> None:
    request = PlugNic(UUID, False, MAC, Plug("bridge", "b").xml(), Plug("network", "other").xml(), "f")
    with pytest.raises(ValueError, match="is plugged in elsewhere by now"):
        request.edited(f"<domain><devices>{ONE}</devices></domain>")
    with pytest.raises(ValueError, match="it has no NICs with the MAC"):
        request.edited("<domain><devices/></domain>")


# Link and limits


def test_a_link_is_pulled_where_it_is_up() -> None:
    down = nic(Plug("network", "one"), extra="<link state='down'/>")
    apart = domain("apart", (LIVE,), (down,))
    made = plan(context(apart), "nic-link", apart, nic=MAC)
    assert words(made.steps) == [f"domif-setlink apart {MAC} down"]
    assert made.confirm is Confirm.ASK
    made = plan(context(apart), "nic-link", apart, nic=MAC, state="up")
    assert words(made.steps) == [f"domif-setlink apart {MAC} up --config"]
    assert "state: the link of" in refused(context(apart), "nic-link", apart, nic=MAC, state="up", where="live")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "inbound_average: give a limit; 0 is for none"),
        ({"inbound_peak": "1M"}, "inbound_average: peak and burst need an average"),
        ({"inbound_average": "2M", "inbound_peak": "1M"}, "inbound_peak: must not be below the average of 2048K"),
        ({"inbound_average": "much"}, "inbound_average: 'much' is no amount such as 10M or 512K"),
        ({"inbound_average": "9999T"}, "inbound_average: must be from 1K"),
        ({"outbound_average": "0"}, "inbound_average: it has these limits already"),
    ],
)
def test_what_limits_refuse(values: dict[str, str], said: str) -> None:
    assert said in refused(context(WEB), "nic-limits", WEB, nic=MAC, **values)


def test_limits_keep_what_was_not_named_and_undo_sets_what_was() -> None:
    limited = nic(Plug("network", "one"), extra="<bandwidth><inbound average='100' peak='200'/></bandwidth>")
    it = domain("it", None, (limited,))
    made = plan(context(it), "nic-limits", it, nic=MAC, outbound_average="1M")
    assert words(made.steps) == [f"domiftune it {MAC} --inbound 100,200,0 --outbound 1024,0,0 --config"]
    assert words(made.undo_steps()) == [f"domiftune it {MAC} --inbound 100,200,0 --outbound 0,0,0 --config"]
    made = plan(context(it), "nic-limits", it, nic=MAC, inbound_average="0")
    request = made.steps[0].request
    assert isinstance(request, SetNicLimits)
    assert not any(value for _name, value in request.limits)


def test_limits_of_one_side_are_a_difference() -> None:
    live = parse_domain_xml(f"<domain><devices>{ONE}</devices></domain>")
    extra = "<bandwidth><inbound average='100'/></bandwidth>"
    later = parse_domain_xml(f"<domain><devices>{nic(Plug('network', 'one'), extra=extra)}</devices></domain>")
    (found,) = differences(live, later)
    assert (found.what, found.persistent) == (f"NIC {MAC}", "network one virtio inbound.average 100")
