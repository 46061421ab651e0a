"""XML of volumes to be made, exactly as virsh makes it (tools/virsh-volume.c)."""

from __future__ import annotations

from xml.etree import ElementTree as ET


def new_volume_xml(
    name: str,
    capacity: int,
    allocation: int | None = None,
    form: str = "",
    backing_path: str = "",
    backing_format: str = "",
) -> str:
    """Return the XML of `virsh vol-create-as`; sizes in bytes."""
    root = ET.Element("volume")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "capacity").text = str(capacity)
    if allocation is not None:
        ET.SubElement(root, "allocation").text = str(allocation)
    if form:
        ET.SubElement(ET.SubElement(root, "target"), "format", type=form)
    if backing_path:
        backing = ET.SubElement(root, "backingStore")
        ET.SubElement(backing, "path").text = backing_path
        if backing_format:
            ET.SubElement(backing, "format", type=backing_format)
    return ET.tostring(root, encoding="unicode")


def renamed(xml: str, name: str) -> str:
    """Return the XML of a volume under another name, as `virsh vol-clone` makes it; raises ParseError."""
    root = ET.fromstring(xml)
    found = root.find("name")
    if found is None:
        found = ET.SubElement(root, "name")
    found.text = name
    return ET.tostring(root, encoding="unicode")
