"""Cases of tests/lab/test_twins.py: NICs. Guests boot where a NIC has to leave a running one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from xml.etree import ElementTree as ET

from tests.lab.actions import Seen
from tests.lab.domain import element, nic_xml, text
from tests.lab.twin_cases.disks import blank, guest, sided
from tests.lab.twins import Case, Make, Twin
from tui.model.nic_xml import NewNic, Plug

_OFF = {"where": "persistent"}


def _mac(twin: Twin) -> str:
    return f"52:54:00:00:{int(twin.uuid[:2], 16):02x}:{int(twin.uuid[2:4], 16):02x}"


def _network(twin: Twin, which: str) -> str:
    """A network of the twin's own, made when it is not there; its bridge is called as it is."""
    name = f"{twin.name}{which}"
    if name not in twin.lab.virsh("net-list", "--all", "--name").stdout.split():
        twin.lab.define_network(name, bridge=name)
    return name


def nic(twin: Twin) -> ET.Element:
    """A NIC in a network, where there is another one."""
    _network(twin, "b")
    return nic_xml(_network(twin, "a"), mac=_mac(twin))


def bridged(twin: Twin) -> ET.Element:
    """A NIC in a network on a bridge of the host."""
    name, bridge = f"{twin.name}c", _network(twin, "a")
    with twin.lab.connect() as connection:
        parts = (element("forward", mode="bridge"), element("bridge", name=bridge))
        connection.networkDefineXML(text(element("network", element("name", text=name), *parts))).create()
    return nic_xml(name, mac=_mac(twin))


def pulled(twin: Twin) -> ET.Element:
    """A NIC whose cable is pulled."""
    made = nic(twin)
    made.append(element("link", state="down"))
    return made


def limited(twin: Twin) -> ET.Element:
    """A NIC with limits."""
    made = nic(twin)
    limits = {"average": "100", "peak": "200", "burst": "300"}
    made.append(element("bandwidth", element("inbound", **limits), element("outbound", **limits)))
    return made


def rich(twin: Twin) -> ET.Element:
    """A NIC of an Open vSwitch with all that undo has to put back."""
    made = ET.fromstring(NewNic(Plug("ovs", "ovs0", vlans=(10, 20)), "e1000", _mac(twin)).xml())
    made.extend([element("mtu", size="1400"), element("link", state="down")])
    return made


def networks(make: Make) -> Make:
    """The domain, and two networks besides."""

    def made(twin: Twin) -> None:
        _network(twin, "a")
        _network(twin, "b")
        make(twin)

    return made


def own(**fields: str) -> Callable[[Twin], Mapping[str, str]]:
    """Fields with the twin's own names: NAME in them is its name, MAC that of its NIC."""
    return lambda twin: {
        key: value.replace("NAME", twin.name).replace("MAC", _mac(twin)) for key, value in fields.items()
    }


def without_state(seen: Seen) -> Seen:
    """All but what says that a link is up, which is so without saying, and the ids that networks give ports."""
    live, config = (re.sub(r"\n *<link state='up'/>", "", side) for side in (seen.live, seen.config))
    return replace(seen, live=live, config=config)


def without_files(seen: Seen) -> Seen:
    """All but the files: libvirt keeps the MACs that a network has seen."""
    return replace(without_state(seen), files=())


def numbered(seen: Seen) -> Seen:
    """All but the alias and the slot that libvirt gives a NIC when it comes back."""
    plain = without_files(seen)
    return replace(plain, live=re.sub(r"<alias name='net\d+'/>", "<alias/>", plain.live))


def attach(what: str, make: Make, live: int, persistent: int, words: str, **fields: str) -> Case:
    """A case of attaching, which undo takes back; `words` are in the XML then."""
    varied = {name: value for name, value in fields.items() if "NAME" in value}
    fixed = {name: value for name, value in fields.items() if name not in varied}
    return Case(
        "domain.nic-attach", what, make, sided(words, live, persistent), fixed, own(**varied, mac="MAC"), undo=True,
        forgiven=without_files,
    )  # fmt: skip


def plug(what: str, make: Make, live: int, persistent: int, words: str, **fields: str) -> Case:
    """A case of plugging in elsewhere, which undo takes back."""
    varied = {name: value for name, value in fields.items() if "NAME" in value}
    fixed = {name: value for name, value in fields.items() if name not in varied}
    return Case(
        "domain.nic-plug", what, make, sided(words, live, persistent), fixed, own(**varied), undo=True,
        forgiven=without_files,
    )  # fmt: skip


CASES: tuple[Case, ...] = (
    attach("both", networks(guest()), 1, 1, "<source network='NAMEa'", source="NAMEa"),
    attach(
        "live", networks(guest(machine="pc")), 1, 0, "<source bridge='NAMEb'", to="bridge", source="NAMEb",
        where="live", model="e1000",
    ),
    attach("user", blank(), 0, 1, "<interface type='user'>", to="user", model="rtl8139", **_OFF),
    attach("e1000e", networks(blank()), 0, 1, "<model type='e1000e'/>", source="NAMEa", model="e1000e", **_OFF),
    attach("ovs", blank(), 0, 1, "<tag id='20'/>", to="ovs", source="ovs0", vlan="10,20"),
    *(
        attach(f"macvtap-{mode}", blank(), 0, 1, f"mode='{mode}'", to="macvtap", source="lo", mode=mode)
        for mode in ("bridge", "vepa", "private", "passthrough")
    ),
    Case("domain.nic-detach", "off", blank(rich), sided("<interface", 0, 0), undo=True),
    Case("domain.nic-detach", "both", guest(nic), sided("<interface", 0, 0), undo=True, forgiven=numbered),
    Case(
        "domain.nic-detach", "live", guest(nic, machine="pc"), sided("<interface", 0, 1), {"where": "live"}, undo=True,
        forgiven=numbered,
    ),
    Case("domain.nic-detach", "persistent", blank(nic, start=True), sided("<interface", 1, 0), _OFF, undo=True),
    plug("both", blank(nic, start=True), 1, 1, "<source network='NAMEb'", source="NAMEb"),
    plug("live", blank(nic, start=True), 1, 0, "<source bridge='NAMEb'", to="bridge", source="NAMEb", where="live"),
    plug("user", blank(nic), 0, 1, "<interface type='user'>", to="user", **_OFF),
    plug("ovs", blank(nic), 0, 1, "<virtualport type='openvswitch'", to="ovs", source="ovs0", vlan="7"),
    plug("from-ovs", networks(blank(rich)), 0, 1, "<source bridge='NAMEb'/>", to="bridge", source="NAMEb"),
    *(
        plug(f"macvtap-{mode}", blank(nic), 0, 1, f"mode='{mode}'", to="macvtap", source="lo", mode=mode)
        for mode in ("bridge", "vepa", "private", "passthrough")
    ),
    Case(
        "domain.nic-link", "down", blank(nic, start=True), sided("<link state='down'/>", 1, 1), {"state": "down"},
        undo=True, forgiven=without_state,
    ),
    Case(
        "domain.nic-link", "bridged", blank(bridged, start=True), sided("<source network='NAMEc'", 1, 1),
        {"state": "down"}, undo=True, forgiven=without_state,
    ),
    Case(
        "domain.nic-link", "up", blank(pulled, start=True), sided("<link state='down'/>", 0, 1),
        {"state": "up", "where": "live"}, undo=True, forgiven=without_state,
    ),
    Case(
        "domain.nic-link", "toggle", blank(pulled), sided("<link state='down'/>", 0, 0), _OFF, undo=True,
        forgiven=without_state,
    ),
    Case(
        "domain.nic-limits", "off", blank(nic), sided("<inbound average='1024' peak='2048'/>", 0, 1),
        {"inbound_average": "1M", "inbound_peak": "2M", "outbound_average": "512K", "outbound_burst": "64K"},
        undo=True, forgiven=lambda seen: replace(seen, config=re.sub(r"\n *</?bandwidth>", "", seen.config)),
    ),
    Case(
        "domain.nic-limits", "lifted", blank(limited), sided("<inbound ", 0, 0), {"inbound_average": "0", **_OFF},
        undo=True,
    ),
)  # fmt: skip

ELSEWHERE: tuple[tuple[str, Mapping[str, str]], ...] = (("domain.nic-limits", {"where": "live"}),)
"""Without sch_sfq no kernel limits a running NIC: tests/lab/test_nics.py shows what comes of it."""
