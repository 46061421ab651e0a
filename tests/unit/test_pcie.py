"""What of a domain's PCI is free, and the edits for more; tests/lab/test_ports.py holds the counts against QEMU."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.lab.domain import element, text
from tui.model.domain_xml import parse_domain_xml
from tui.model.pcie import free_ports, pcie_buses, with_ports, without_ports


def pci(model: str, index: str) -> ET.Element:
    """A PCI controller."""
    return element("controller", type="pci", index=index, model=model)


def at(bus: str, slot: str = "0x00", tag: str = "disk") -> ET.Element:
    """A device in that slot."""
    return element(tag, element("address", type="pci", domain="0x0000", bus=bus, slot=slot, function="0x0"))


def domain(*devices: ET.Element, machine: str = "pc-q35-7.2", arch: str = "x86_64") -> ET.Element:
    """A domain with these devices."""
    kind = element("type", text="hvm", arch=arch, machine=machine)
    return element("domain", element("os", kind), element("devices", *devices), type="kvm")


Q35 = (pci("pcie-root", "0"), pci("pcie-root-port", "1"), pci("pcie-root-port", "2"), pci("pcie-root-port", "10"))
HOSTDEV = element(
    "hostdev",
    element("source", element("address", type="pci", bus="0x01", slot="0x00")),
    at("0x02")[0],
    mode="subsystem",
)


@pytest.mark.parametrize(
    ("root", "free"),
    [
        (domain(*Q35), 3),
        (domain(*Q35, at("0x0a"), at("0x00", "0x1f", "sound")), 2),
        (domain(*Q35, at("0x01"), HOSTDEV), 1),
        (domain(pci("pcie-root", "0")), 0),
        (domain(*Q35, element("disk", element("address", type="drive", bus="1", target="0"))), 3),
        (domain(*Q35, at("nonsense"), pci("pcie-root-port", "?")), 3),
        (domain(pci("pci-root", "0"), machine="pc-i440fx-7.2"), 30),
        (domain(pci("pci-root", "0"), at("0x00", "0x02"), at("0x00", "0x01"), machine="pc-i440fx-7.2"), 29),
        (domain(pci("pci-root", "0"), pci("pci-bridge", "1"), at("0x01", "0x1f"), machine="pc"), 60),
        (domain(pci("pci-root", "0"), machine="pseries-7.2", arch="ppc64le"), 31),
        (domain(pci("pci-root", "0"), machine="s390-ccw-virtio-7.2", arch="s390x"), None),
        (domain(machine="isapc"), None),
        (element("domain"), None),
    ],
)
def test_free_slots(root: ET.Element, free: int | None) -> None:
    assert free_ports(root) == free
    assert parse_domain_xml(text(root)).free_slots == free


def test_only_machines_with_pcie_have_its_buses() -> None:
    assert pcie_buses(domain(*Q35)) == frozenset({0, 1, 2, 10})
    assert pcie_buses(domain(pci("pci-root", "0"), machine="pc")) is None


def test_ports_are_added_behind_the_others_and_taken_away_again() -> None:
    before = text(domain(*Q35, at("0x01")))
    after = with_ports(before, [11, 12])
    found = ET.fromstring(after).findall("devices/*")
    assert [device.get("index") for device in found] == ["0", "1", "2", "10", "11", "12", None]
    assert {device.get("model") for device in found[4:6]} == {"pcie-root-port"}
    assert ET.canonicalize(without_ports(after, [11, 12]), strip_text=True) == ET.canonicalize(before, strip_text=True)
    assert without_ports(before, [11]) == before


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        (text(domain(*Q35, at("0x02"))), "a device is in root port 2"),
        (text(domain(*Q35)), "PCI controller 10 was added after them"),
    ],
)
def test_what_is_used_is_not_taken_away(xml: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        without_ports(xml, [1, 2])


@pytest.mark.parametrize("root", [domain(*Q35), domain(pci("pci-root", "0")), element("domain")])
def test_ports_that_cannot_be_added(root: ET.Element) -> None:
    with pytest.raises(ValueError, match="not what they were"):
        with_ports(text(root), [2])


def test_other_programs_prefixes_stay() -> None:
    xml = text(domain(*Q35)).replace("<os>", '<metadata><m:x xmlns:m="urn:theirs"/></metadata><os>')
    assert "<m:x" in with_ports(xml, [11])
