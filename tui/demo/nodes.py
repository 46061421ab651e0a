"""Small helpers for the XML of the test driver's node."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid5

TEST_NAMESPACE = "http://libvirt.org/schemas/domain/test/1.0"
"""The test driver's own elements within <domain>: runstate, transient, hasmanagedsave, domainsnapshot."""

OSINFO_NAMESPACE = "http://libosinfo.org/xmlns/libvirt/domain/1.0"
INVENTORY_NAMESPACE = "https://example.net/inventory/1.0"

_UUIDS = UUID("6f8a1d3e-5b0c-4f7e-9a52-3c1d2e4f5a6b")

for _prefix, _uri in (("test", TEST_NAMESPACE), ("libosinfo", OSINFO_NAMESPACE), ("inventory", INVENTORY_NAMESPACE)):
    ET.register_namespace(_prefix, _uri)


def child(parent: ET.Element, tag: str, text: str | int | None = None, **attributes: str | int) -> ET.Element:
    """Return a new element under `parent`."""
    element = ET.SubElement(parent, tag, {name: str(value) for name, value in attributes.items()})
    element.text = None if text is None else str(text)
    return element


def own(tag: str) -> str:
    """Return `tag` in the test driver's namespace."""
    return f"{{{TEST_NAMESPACE}}}{tag}"


def uuid_of(kind: str, name: str) -> str:
    """Return the UUID that `name` always has."""
    return str(uuid5(_UUIDS, f"{kind}:{name}"))


def mac_of(owner: str, index: int) -> str:
    """Return the MAC address, from QEMU's range, that NIC `index` of `owner` always has."""
    digest = sha256(f"{owner}:{index}".encode()).digest()
    return f"52:54:00:{digest[0]:02x}:{digest[1]:02x}:{digest[2]:02x}"


def tap_of(owner: str, index: int) -> str:
    """Return the name that the host's side of NIC `index` of `owner` always has. Not vnetN: libvirt forgets names of
    that form when it reads a configuration, and the test driver calls them testnet0 in every domain."""
    digest = sha256(f"tap:{owner}:{index}".encode()).hexdigest()
    plain = "".join(char for char in owner.lower() if char.isascii() and char.isalnum())[:8]
    return f"{plain or 'guest'}-{digest[:3]}.{index}"


def write_node(node: ET.Element, directory: Path, name: str) -> str:
    """Write `node` to a file in `directory` and return the URI that opens it; raises OSError."""
    path = directory.resolve() / name
    ET.ElementTree(node).write(path, encoding="utf-8", xml_declaration=True)
    return f"test://{quote(str(path))}"
